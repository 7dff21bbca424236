//! Neighbours that are set up wrongly, speak wrongly, or come and go.

use super::super::{Expect, Loss, Scenario, Who};
use crate::lab::{PREFIX4, PREFIX6};
use std::time::Duration;

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "router-refuses-the-as-number",
            "after a change the router expects another AS number of the node",
            "no session; the alarm gives the router's reason; all is back when the router is mended",
        )
        .loses(Loss::Any)
        .step(
            "restart the router with another AS number",
            |lab| {
                let router = lab.ams().router_mut();
                router.kill();
                router.edit(|text| text.replace("PHAROS_NODE_AS  = 64512", "PHAROS_NODE_AS  = 64513"));
                lab.start_router();
            },
            vec![Expect::Alarm(Who::A, "neighbour-down", "AS"), Expect::Answered(&["a.fra"])],
        )
        .calm(Duration::from_secs(3))
        .step(
            "mend it",
            |lab| {
                let router = lab.ams().router_mut();
                router.kill();
                router.edit(|text| text.replace("PHAROS_NODE_AS  = 64513", "PHAROS_NODE_AS  = 64512"));
                lab.start_router();
            },
            vec![
                Expect::AlarmOver(Who::A, "neighbour-down"),
                Expect::Back(PREFIX4),
                Expect::Back(PREFIX6),
                Expect::Answered(&["a.ams"]),
            ],
        ),
    ]
}
