//! The one definition of every option: its key, type, default, and what it means.
//!
//! Each section below becomes a struct that the files are read into and a table of [`OptionDoc`] that error
//! messages, `pharos config-reference` and docs/configuration.md are made from. Nothing else may describe an
//! option. The doc comment of a field says meaning and unit in whole sentences; the line under the type
//! says what may be written and the default, and a test compares that default with the real one.

use crate::config::values::{Endpoint, Period};
use crate::yaml;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What a person may know about one option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionDoc {
    /// Dotted path of the section that it stands in, with `[]` for items of a list; empty for the root.
    pub section: &'static str,
    /// The key, with underscores where the file has hyphens: see [`Self::key`].
    field: &'static str,
    /// What may be written.
    pub values: &'static str,
    /// What holds when nothing is written.
    pub default: DefaultDoc,
    /// The paragraphs of its description.
    pub text: &'static [&'static str],
}

/// What holds when an option is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultDoc {
    /// The file is refused.
    Required,
    /// The same as if this were written.
    Value(&'static str),
    /// Something that one value cannot say.
    Described(&'static str),
}

impl OptionDoc {
    /// The key as it is written in the file.
    pub fn key(&self) -> String {
        self.field.trim_start_matches("r#").replace('_', "-")
    }

    /// The whole path, like `sidecar.groups[].name`.
    pub fn path(&self) -> String {
        if self.section.is_empty() { self.key() } else { format!("{}.{}", self.section, self.key()) }
    }
}

/// A struct of options and the table that describes them, from one text.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident at $path:literal {
            $(
                $(#[doc = $text:literal])+
                $(#[serde($($attribute:tt)+)])?
                $field:ident: $type:ty, write $values:literal, $kind:ident $(($default:literal))?;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[doc = $text])+
                $(#[serde($($attribute)+)])?
                pub $field: $type,
            )+
        }

        impl $name {
            /// The options of this section, in the order of the reference.
            pub const OPTIONS: &'static [OptionDoc] = &[$(OptionDoc {
                section: $path,
                field: stringify!($field),
                values: $values,
                default: DefaultDoc::$kind $(($default))?,
                text: &[$($text),+],
            }),+];
        }
    };
}

mod announcers;
mod responder;
mod sidecar;
mod site;

pub use announcers::*;
pub use responder::*;
pub use sidecar::*;
pub use site::*;

section! {
    /// `pharos.yaml`: the same at every node of the service.
    PharosFile at "" {
        /// The responder, which answers DNS queries: `pharos serve`.
        /// Without it `pharos announce` watches another name server.
        #[serde(default)]
        responder: Option<ResponderSection>, write "section", Described("none");
        /// The sidecar, which keeps the routes: `pharos announce`.
        #[serde(default)]
        sidecar: Option<SidecarSection>, write "section", Described("none");
    }
}

/// Every option of both files, in the order of the reference; those of `site.yaml` begin with `site`.
pub fn all_options() -> impl Iterator<Item = &'static OptionDoc> {
    PharosFile::OPTIONS
        .iter()
        .chain(ResponderSection::OPTIONS)
        .chain(TcpSection::OPTIONS)
        .chain(DnssecSection::OPTIONS)
        .chain(CookiesSection::OPTIONS)
        .chain(ZonesSection::OPTIONS)
        .chain(ZoneEntry::OPTIONS)
        .chain(SidecarSection::OPTIONS)
        .chain(GroupSection::OPTIONS)
        .chain(AnchorSection::OPTIONS)
        .chain(ProbeSection::OPTIONS)
        .chain(SiteFile::OPTIONS)
        .chain(XdpSection::OPTIONS)
        .chain(WireSection::OPTIONS)
        .chain(NeighbourSection::OPTIONS)
        .chain(BfdSection::OPTIONS)
        .chain(LevelsSection::OPTIONS)
        .chain(LevelSection::OPTIONS)
        .chain(AnnouncersSection::OPTIONS)
        .chain(BirdSection::OPTIONS)
        .chain(LeaseSection::OPTIONS)
        .chain(MarkerSection::OPTIONS)
        .chain(ExecSection::OPTIONS)
        .chain(ObserveSection::OPTIONS)
}

fn every_default<T: DeserializeOwned>() -> T {
    yaml::parse("{}").expect("each key of the section has a default")
}

fn loopback(port: u16) -> Endpoint {
    Endpoint(([127, 0, 0, 1], port).into())
}

fn period_ms(milliseconds: u64) -> Period {
    Period(std::time::Duration::from_millis(milliseconds))
}

#[cfg(test)]
mod tests;
