use std::sync::Mutex;

use anyhow::{anyhow, bail, Result};
use nix::unistd::Pid;

use appnet_mrpc_host::Engine as Host;
use phoenix_common::addon::Version;
use phoenix_common::engine::datapath::DataPathNode;
use phoenix_common::engine::{Engine, EngineType};
use phoenix_common::envelop::ResourceDowncast;
use phoenix_common::storage::ResourceCollection;
use phoenix_common::PhoenixAddon;

use crate::config::Config;
use crate::engine::{AppNetEngine, Lasting};
use crate::probe::probe;

const SENDER: EngineType = EngineType("AppNetSenderEngine");
const RECEIVER: EngineType = EngineType("AppNetReceiverEngine");

pub(crate) const HOST: &str = "host";

/// The addon. Its engines are `AppNetSenderEngine`, where calls leave, and `AppNetReceiverEngine`, where they come in.
pub struct AppNetAddon {
    config: Option<Config>,
}

impl AppNetAddon {
    /// With what the next engine is to run, which may be nothing yet.
    pub fn new(config: Option<&str>) -> Result<Self> {
        Ok(AppNetAddon { config: Config::read(config.unwrap_or_default())? })
    }

    fn open(&self, ty: EngineType) -> Result<Host> {
        let Some(config) = &self.config else {
            bail!("{} has nothing to run: give `bundle` and `sha256` in its config_string", ty.0);
        };
        let host = Host::open_file(&config.bundle, &config.digest()?, probe)?;
        if host.is_server() != (ty == RECEIVER) {
            bail!("{}: it is for the other side than {}", config.bundle, ty.0);
        }
        Ok(host)
    }
}

fn known(ty: EngineType) -> Result<()> {
    if ty != SENDER && ty != RECEIVER {
        bail!("invalid engine type {ty:?}");
    }
    Ok(())
}

impl PhoenixAddon for AppNetAddon {
    fn check_compatibility(&self, _prev: Option<&Version>) -> bool {
        true
    }

    fn decompose(self: Box<Self>) -> ResourceCollection {
        ResourceCollection::new()
    }

    fn migrate(&mut self, _prev_addon: Box<dyn PhoenixAddon>) {}

    fn engines(&self) -> &[EngineType] {
        &[SENDER, RECEIVER]
    }

    fn update_config(&mut self, config: &str) -> Result<()> {
        self.config = Config::read(config)?;
        Ok(())
    }

    fn create_engine(&mut self, ty: EngineType, _pid: Pid, node: DataPathNode) -> Result<Box<dyn Engine>> {
        known(ty)?;
        Ok(Box::new(AppNetEngine::new(node, Lasting::new(self.open(ty)?))?))
    }

    fn restore_engine(
        &mut self,
        ty: EngineType,
        mut local: ResourceCollection,
        node: DataPathNode,
        _prev_version: Version,
    ) -> Result<Box<dyn Engine>> {
        known(ty)?;
        let found = local.remove(HOST).ok_or_else(|| anyhow!("the engine before this one left nothing"))?;
        let found = found.downcast::<Mutex<Lasting>>().map_err(|it| anyhow!("a {} is no host", it.type_name()))?;
        let host = found.into_inner().map_err(|_| anyhow!("the engine before this one has panicked"))?;
        Ok(Box::new(AppNetEngine::new(node, host)?))
    }
}
