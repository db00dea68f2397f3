//! `serve --static DIR`: serves a developer's own page from disk.
//!
//! Requests cannot reach files outside the directory: the path is decoded and checked segment by
//! segment, and the file must be inside after all symbolic links are resolved.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use actix_web::body::SizedStream;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;

const INDEX: &str = "index.html";
/// Files are read in pieces of this size, so that a large one does not use much memory.
const PIECE: usize = 64 * 1024;

/// A directory that exists.
#[derive(Debug, Clone)]
pub struct StaticDir {
    /// Canonical, so that paths inside start with it.
    root: PathBuf,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    File(PathBuf),
    /// A directory without its final slash, with which relative links would be wrong.
    NoSlash,
}

impl StaticDir {
    /// The directory at `path`.
    ///
    /// # Errors
    /// If `path` is not a readable directory.
    pub fn new(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let root = path.canonicalize().map_err(|error| {
            format!("cannot serve `--static {shown}`: {error}; name a directory that exists")
        })?;
        if !root.is_dir() {
            return Err(format!(
                "`--static {shown}` is not a directory; name the directory of your page"
            ));
        }
        Ok(Self { root })
    }

    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The response to a GET or HEAD request; `None` if there is no such file.
    pub(crate) async fn serve(&self, request: &HttpRequest) -> Option<HttpResponse> {
        let path = request.uri().path().to_owned();
        let directory = self.clone();
        let opened = web::block(move || directory.open(&path)).await.ok()??;
        let Opened::File { file, size, path } = opened else { return Some(add_slash(request)) };
        let pieces = stream::try_unfold(file, |file| async move {
            let read = web::block(move || next_piece(file)).await;
            read.unwrap_or_else(|_| Err(std::io::Error::other("the worker is shutting down")))
        });
        let mut response = HttpResponse::Ok();
        response
            .insert_header((CONTENT_TYPE, content_type(&path.to_string_lossy())))
            .insert_header((CACHE_CONTROL, "no-cache"))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
        Some(response.body(SizedStream::new(size, Box::pin(pieces))))
    }

    fn open(&self, path: &str) -> Option<Opened> {
        match self.find(path)? {
            Found::NoSlash => Some(Opened::NoSlash),
            Found::File(path) => {
                let file = File::open(&path).ok()?;
                let size = file.metadata().ok()?.len();
                Some(Opened::File { file, size, path })
            }
        }
    }

    /// `path` is the percent-encoded path of the request's URL.
    fn find(&self, path: &str) -> Option<Found> {
        let path = decode(path)?;
        let inside = path.strip_prefix('/')?;
        let is_root = inside.is_empty();
        let (inside, is_directory) = match inside.strip_suffix('/') {
            Some(inside) => (inside, true),
            None => (inside, is_root),
        };
        if !is_root && !inside.split('/').all(is_plain) {
            return None;
        }
        let found = self.inside(&self.root.join(inside))?;
        if !found.is_dir() {
            return (found.is_file() && !is_directory).then_some(Found::File(found));
        }
        if !is_directory {
            return Some(Found::NoSlash);
        }
        let index = self.inside(&found.join(INDEX))?;
        index.is_file().then_some(Found::File(index))
    }

    /// The canonical form of `path`, if it exists and is inside the directory.
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        path.canonicalize().ok().filter(|path| path.starts_with(&self.root))
    }
}

enum Opened {
    File { file: File, size: u64, path: PathBuf },
    NoSlash,
}

/// Whether a segment can be the name of a public file, which `.env` cannot.
fn is_plain(segment: &str) -> bool {
    !segment.is_empty() && !segment.starts_with('.') && !segment.contains(['\\', '\0'])
}

/// Decodes percent-encoding. `None` if the result is not UTF-8 or an escape is incomplete.
fn decode(path: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        decoded.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    String::from_utf8(decoded).ok()
}

fn next_piece(mut file: File) -> std::io::Result<Option<(Bytes, File)>> {
    let mut piece = Vec::with_capacity(PIECE);
    file.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
    Ok((!piece.is_empty()).then(|| (Bytes::from(piece), file)))
}

/// Redirects to the same host, because the first segment of the path is known to be a name.
fn add_slash(request: &HttpRequest) -> HttpResponse {
    let uri = request.uri();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    match HeaderValue::from_str(&format!("{}/{query}", uri.path())) {
        Ok(location) => HttpResponse::PermanentRedirect()
            .insert_header((LOCATION, location))
            .insert_header((CACHE_CONTROL, "no-cache"))
            .finish(),
        Err(_) => HttpResponse::BadRequest().finish(),
    }
}

/// By the extension of the file's name.
pub(crate) fn content_type(path: &str) -> &'static str {
    let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("wasm") => "application/wasm",
        Some("xml") => "application/xml",
        Some("pdf") => "application/pdf",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("avif") => "image/avif",
        Some("ico") => "image/x-icon",
        Some("woff") => "font/woff",
        Some("woff2") => "font/woff2",
        Some("ttf") => "font/ttf",
        Some("mp3") => "audio/mpeg",
        Some("wav") => "audio/wav",
        Some("ogg") => "audio/ogg",
        Some("mp4") => "video/mp4",
        Some("webm") => "video/webm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page, and a file outside it that a link points to.
    fn page() -> (tempfile::TempDir, StaticDir) {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("page");
        std::fs::create_dir_all(root.join("deep")).unwrap();
        for (name, text) in [
            ("page/index.html", "home"),
            ("page/a b.js", "let a"),
            ("page/deep/index.html", "deep"),
            ("page/.env", "secret"),
            ("secret.txt", "secret"),
            ("page-two.txt", "secret"),
        ] {
            std::fs::write(home.path().join(name), text).unwrap();
        }
        std::os::unix::fs::symlink(home.path().join("secret.txt"), root.join("out.txt")).unwrap();
        std::os::unix::fs::symlink(home.path(), root.join("up")).unwrap();
        std::os::unix::fs::symlink(root.join("a b.js"), root.join("in.js")).unwrap();
        let directory = StaticDir::new(&root).unwrap();
        (home, directory)
    }

    #[test]
    fn paths_name_files_inside() {
        let (_home, page) = page();
        let file = |path: &str| Some(Found::File(page.path().join(path)));
        for (path, expected) in [
            ("/", file("index.html")),
            ("/index.html", file("index.html")),
            ("/a%20b.js", file("a b.js")),
            ("/in.js", file("a b.js")),
            ("/deep/", file("deep/index.html")),
            ("/deep", Some(Found::NoSlash)),
            ("/index.html/", None),
            ("/gone", None),
        ] {
            assert_eq!(page.find(path), expected, "{path}");
        }
    }

    #[test]
    fn nothing_outside_is_found() {
        let (_home, page) = page();
        for path in [
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/..%2fsecret.txt",
            "/deep/../../secret.txt",
            "/../page-two.txt",
            "/out.txt",
            "/up/secret.txt",
            "/up/",
            "/up",
            "/.env",
            "/%2eenv",
            "/deep/..",
            "//secret.txt",
            "//",
            "/deep//index.html",
            "/\\..\\secret.txt",
            "/index.html%00",
            "/%",
            "/%f",
            "/%ff",
            "",
            "secret.txt",
        ] {
            assert_eq!(page.find(path), None, "{path}");
        }
    }
}
