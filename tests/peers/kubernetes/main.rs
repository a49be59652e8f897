//! The hand on a real cluster: kube-apiserver, kube-controller-manager, kwok and Argo Rollouts, unmodified, on loopback.
//!
//! `cargo xtask peers kubernetes` builds them once (`build.sh`) and runs this; every test starts its own (`up.sh`).

mod away;
mod cascade;
#[expect(dead_code, reason = "shared with tests/it, which uses all of it")]
#[path = "../../it/endpoint.rs"]
mod endpoint;
mod halts;
mod install;
mod proxy;
mod rig;
#[expect(dead_code, reason = "shared with tests/it, which uses all of it")]
#[path = "../../support/server.rs"]
mod server;
mod shop;
mod stack;
mod storm;
mod trouble;
