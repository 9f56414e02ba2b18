//! The script that loads the WASM module, by wasm-bindgen's own library.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use wasm_bindgen_cli_support::Bindgen;

use crate::build::{Mode, stamp};
use crate::context::{Context, files_below};

/// What the browser loads.
pub struct Bound {
    /// The script; `init({ module_or_path })` starts the module.
    pub js: String,
    /// The module, without names and debug sections.
    pub wasm: Vec<u8>,
    /// Small scripts that crates bring along: path below `snippets/` → text.
    pub snippets: BTreeMap<String, String>,
    /// Parts of the module that are loaded when they are wanted: the name the script knows them by → module.
    pub later: BTreeMap<String, Vec<u8>>,
}

/// Binds the module, or answers what was bound before when the module is the same.
pub fn bind(context: &Context, mode: Mode, wasm: &Path) -> Result<Bound> {
    let work = context.target.join(mode.folder()).join("site-work");
    let out = work.join("bindgen");
    let stamp_file = work.join("stamp");
    let stamp = stamp::of_files(&[wasm.to_path_buf(), std::env::current_exe()?])?;
    if !stamp::matches(&stamp_file, &stamp) {
        if out.exists() {
            fs::remove_dir_all(&out)?;
        }
        fs::create_dir_all(&out)?;
        let mut bindgen = Bindgen::new();
        #[cfg(feature = "split")]
        let parts = (mode == Mode::Release)
            .then(|| super::split::cut(wasm, &work.join("split")))
            .transpose()?;
        #[cfg(feature = "split")]
        let wasm = parts.as_ref().map_or(wasm, |parts| parts.first.as_path());
        #[cfg(feature = "split")]
        // What the later parts take from the first one.
        bindgen.keep_lld_exports(mode == Mode::Release);
        bindgen.input_path(wasm).out_name("bagua").web(true)?;
        // The names are a third of a development module and serve only a debugger.
        bindgen
            .typescript(false)
            .remove_name_section(true)
            .remove_producers_section(true);
        // The server names the module's hashed path; a default path in the script would only be wrong.
        bindgen.omit_default_module_path(true);
        bindgen
            .generate(&out)
            .with_context(|| format!("wasm-bindgen refused {}", wasm.display()))?;
        #[cfg(feature = "split")]
        if let Some(parts) = parts {
            let script = out.join("bagua.js");
            fs::write(
                &script,
                super::split::with_link(&fs::read_to_string(&script)?, &parts.link)?,
            )?;
            fs::create_dir_all(out.join("later"))?;
            for (name, part) in parts.later {
                fs::write(out.join("later").join(name), part)?;
            }
        }
        fs::write(&stamp_file, &stamp)?;
    }
    let mut snippets = BTreeMap::new();
    let folder = out.join("snippets");
    for path in files_below(&folder)? {
        let name = path.strip_prefix(&folder)?.to_string_lossy().into_owned();
        snippets.insert(name, fs::read_to_string(&path)?);
    }
    let mut later = BTreeMap::new();
    let folder = out.join("later");
    for path in files_below(&folder)? {
        let name = path.strip_prefix(&folder)?.to_string_lossy().into_owned();
        later.insert(name, fs::read(&path)?);
    }
    Ok(Bound {
        js: fs::read_to_string(out.join("bagua.js"))?,
        wasm: fs::read(out.join("bagua_bg.wasm"))?,
        snippets,
        later,
    })
}
