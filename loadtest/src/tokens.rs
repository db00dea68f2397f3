//! Servers that let nobody in without a token.

use crate::common::Common;
use crate::server::Setup;
use anyhow::{Context, Result};

/// Lets nobody in without a token, and has every session sign one of its own. Whoever brings a
/// configuration, or tokens, knows what the server's secret is.
pub fn demand(setup: &mut Setup, common: &mut Common) -> Result<()> {
    if common.own.server_config.is_some() || common.secret.is_some() || common.token.is_some() {
        return Ok(());
    }
    let file = setup.dir().join("secret");
    // It guards a server on loopback that lives for minutes, so chance of this kind will do.
    let secret: String =
        std::iter::repeat_with(|| format!("{:016x}", fastrand::u64(..))).take(4).collect();
    std::fs::write(&file, secret)
        .with_context(|| format!("`{}` cannot be written", file.display()))?;
    setup.set("GREENROOM_AUTH__SECRET_FILE", &file.to_string_lossy());
    setup.set("GREENROOM_AUTH__ANONYMOUS", "false");
    common.secret = Some(file);
    Ok(())
}
