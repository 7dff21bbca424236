//! A wall clock that the lab can move, for single processes.
//!
//! Linux has namespaces for its steady clocks and none for CLOCK_REALTIME, and a lab does not set the clock of the
//! machine it runs on. So a small library, compiled here, stands before the C library's `clock_gettime`: it adds an
//! offset that it reads from a file of eight octets, shared memory to both. The program under test is the released
//! one and knows nothing of it.

use super::Workspace;
use super::bird::utf8;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const long *offset;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("LAB_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *page = mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) offset = page;
    close(file);
}

int clock_gettime(clockid_t id, struct timespec *time) {
    if (!real) begin();
    int result = real(id, time);
    if (result == 0 && offset && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) time->tv_sec += *offset;
    return result;
}

int gettimeofday(struct timeval *time, void *zone) {
    struct timespec now;
    (void) zone;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to) *to = now.tv_sec;
    return now.tv_sec;
}
"#;

/// The clock of one node's processes.
#[derive(Debug)]
pub struct ShiftedClock {
    library: PathBuf,
    offset: PathBuf,
}

impl ShiftedClock {
    /// Compiles the library and sets the offset to nothing.
    pub(super) fn new(workspace: &Workspace, name: &str) -> Self {
        let source = workspace.write(&format!("{name}-clock.c"), SOURCE);
        let library = workspace.join(&format!("{name}-clock.so"));
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o", utf8(&library), utf8(&source), "-ldl"])
            .output()
            .expect("a C compiler is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let clock = Self { library, offset: workspace.join(&format!("{name}-clock")) };
        clock.set(0);
        clock
    }

    /// Moves the clock to so many seconds after the true time, at once.
    pub fn set(&self, seconds: i64) {
        // In place: the processes have mapped this very file.
        let mut file = fs::File::options().create(true).write(true).truncate(false).open(&self.offset);
        let file = file.as_mut().expect("the lab's own directory can be written");
        std::io::Write::write_all(file, &seconds.to_ne_bytes()).expect("eight octets have room");
    }

    pub(super) fn environment(&self) -> Vec<(String, String)> {
        vec![
            ("LD_PRELOAD".to_owned(), utf8(&self.library).to_owned()),
            ("LAB_CLOCK".to_owned(), utf8(&self.offset).to_owned()),
        ]
    }
}
