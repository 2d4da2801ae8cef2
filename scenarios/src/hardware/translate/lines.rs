//! The lines of a stream. They are cut into chunks of whole lines, several threads work on the chunks, and the results come
//! back in order.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::sync::mpsc::sync_channel;
use std::thread;

/// The most bytes of a line. Of a longer line, one byte more is kept, so that its length can be noticed.
pub const LONGEST: usize = 1 << 20;

/// The number of bytes that are read at a time. It is less than [`LONGEST`], so that only the first line of a chunk can be too
/// long.
const AT_A_TIME: usize = 1 << 18;

/// The number of chunks that may wait for a thread, and of results that may wait to be taken.
const AHEAD: usize = 4;

/// The chunks of a stream. Each ends with the end of a line. A chunk is given as soon as the stream has given a whole line.
/// So a program that waits for an answer before it sends the next line gets the answer.
#[derive(Debug)]
pub struct Chunks<R> {
    stream: BufReader<R>,
    /// The bytes after the last whole line.
    rest: Vec<u8>,
}

impl<R: Read> Chunks<R> {
    /// Cuts `stream`.
    pub fn new(stream: R) -> Chunks<R> {
        Chunks { stream: BufReader::with_capacity(AT_A_TIME, stream), rest: Vec::new() }
    }
}

impl<R: Read> Iterator for Chunks<R> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        loop {
            let bytes = match self.stream.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Some(Err(error)),
            };
            let mut chunk = std::mem::take(&mut self.rest);
            if bytes.is_empty() {
                return (!chunk.is_empty()).then_some(Ok(chunk));
            }
            let is_end = |byte: &u8| *byte == b'\n';
            let first = bytes.iter().position(is_end).unwrap_or(bytes.len());
            chunk.extend_from_slice(&bytes[..first.min((LONGEST + 1).saturating_sub(chunk.len()))]);
            let consumed = bytes.len();
            if let Some(last) = bytes.iter().rposition(is_end) {
                chunk.extend_from_slice(&bytes[first..=last]);
                self.rest.extend_from_slice(&bytes[last + 1..]);
            } else {
                std::mem::swap(&mut self.rest, &mut chunk);
            }
            self.stream.consume(consumed);
            if !chunk.is_empty() {
                return Some(Ok(chunk));
            }
        }
    }
}

/// The lines of a chunk, without the characters that end them.
pub fn lines_of(chunk: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = chunk;
    std::iter::from_fn(move || {
        let whole = rest;
        // To read from memory cannot fail.
        let length = rest.skip_until(b'\n').unwrap_or(0);
        let line = &whole[..length];
        (length > 0).then(|| line.strip_suffix(b"\n").unwrap_or(line))
    })
}

/// Works on the chunks of a stream with `jobs` threads, and takes the results in the order of the stream, with any number of
/// threads. The threads get the chunks in turn, so the results come in turn too.
///
/// # Errors
/// If the stream cannot be read. The results of everything that was read before have been taken then.
pub fn in_order<T: Send>(
    stream: impl Read + Send,
    jobs: usize,
    work: impl Fn(&[u8]) -> T + Sync,
    mut take: impl FnMut(T),
) -> io::Result<()> {
    let chunks = Chunks::new(stream);
    if jobs <= 1 {
        for chunk in chunks {
            take(work(&chunk?));
        }
        return Ok(());
    }
    thread::scope(|scope| {
        let (mut to, mut from) = (Vec::new(), Vec::new());
        for _ in 0..jobs {
            let (send_chunk, chunks) = sync_channel::<Vec<u8>>(AHEAD);
            let (send_result, results) = sync_channel(AHEAD);
            to.push(send_chunk);
            from.push(results);
            let work = &work;
            scope.spawn(move || {
                for chunk in chunks {
                    if send_result.send(work(&chunk)).is_err() {
                        break;
                    }
                }
            });
        }
        let reader = scope.spawn(move || {
            for (chunk, thread) in chunks.zip(to.iter().cycle()) {
                if thread.send(chunk?).is_err() {
                    break;
                }
            }
            Ok(())
        });
        for results in from.iter().cycle() {
            let Ok(result) = results.recv() else { break };
            take(result);
        }
        drop(from);
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that gives its parts one at a time, as a pipe does.
    struct Parts(Vec<Vec<u8>>);

    impl Read for Parts {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(part) = self.0.first_mut() else { return Ok(0) };
            let length = part.len().min(buffer.len());
            buffer[..length].copy_from_slice(&part[..length]);
            part.drain(..length);
            if part.is_empty() {
                self.0.remove(0);
            }
            Ok(length)
        }
    }

    fn parts(parts: &[&str]) -> Parts {
        Parts(parts.iter().map(|part| part.as_bytes().to_vec()).collect())
    }

    fn chunks(stream: Parts) -> Vec<String> {
        Chunks::new(stream).map(|chunk| String::from_utf8(chunk.expect("no error")).expect("ASCII")).collect()
    }

    #[test]
    fn chunks_end_with_a_line_and_come_at_once() {
        assert_eq!(chunks(parts(&["a\nb\nc", "d\n", "\n", "e"])), ["a\nb\n", "cd\n", "\n", "e"]);
        assert_eq!(chunks(parts(&[])), [""; 0]);
        assert_eq!(chunks(parts(&["no end"])), ["no end"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_the_next_is_not() {
        let long = "x".repeat(3 * LONGEST);
        let all = chunks(Parts(vec![format!("a\n{long}\nb\n").into_bytes()])).concat();
        let lines: Vec<&[u8]> = lines_of(all.as_bytes()).collect();
        assert_eq!([lines[0], lines[2]], [b"a", b"b"]);
        assert_eq!((lines.len(), lines[1].len()), (3, LONGEST + 1));
    }

    #[test]
    fn lines_lose_their_ends_only() {
        let lines = |chunk: &'static str| lines_of(chunk.as_bytes()).collect::<Vec<_>>();
        assert_eq!(lines("a\r\n\nb"), [&b"a\r"[..], b"", b"b"]);
        assert_eq!(lines("\n\n"), [b"", b""]);
        assert!(lines("").is_empty());
    }

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        let stream: Vec<Vec<u8>> = (0..500).map(|n| format!("{n}\n").into_bytes()).collect();
        for jobs in [1, 2, 7] {
            let mut taken = Vec::new();
            in_order(Parts(stream.clone()), jobs, <[u8]>::to_vec, |chunk| taken.extend(chunk)).expect("no error");
            assert_eq!(taken, stream.concat());
        }
    }

    #[test]
    fn an_error_of_the_stream_comes_after_what_was_read() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(ErrorKind::InvalidData.into())
            }
        }
        for jobs in [1, 2] {
            let mut taken = Vec::new();
            let stream = parts(&["a\nb\n"]).chain(Broken);
            let result = in_order(stream, jobs, <[u8]>::to_vec, |chunk| taken.extend(chunk));
            assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::InvalidData));
            assert_eq!(taken, b"a\nb\n");
        }
    }
}
