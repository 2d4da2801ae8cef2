//! Opening a stream of lines: a file or stdin, plain or compressed.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::Failure;

/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Opens a file, or stdin for `-`. A stream that is compressed with gzip is expanded.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read + Send>, Failure> {
    let fail = |error: io::Error| Failure::bad_input(format!("{}: {error}", name(path)));
    let stream: Box<dyn Read + Send> = match path.to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(File::open(path).map_err(fail)?),
    };
    let mut stream = BufReader::new(stream);
    let compressed = stream.fill_buf().map_err(fail)?.starts_with(&GZIP);
    Ok(if compressed { Box::new(MultiGzDecoder::new(stream)) } else { Box::new(stream) })
}

/// The name of the stream in messages.
pub(crate) fn name(path: &Path) -> String {
    match path.to_str() {
        Some("-") => "stdin".to_owned(),
        _ => path.display().to_string(),
    }
}
