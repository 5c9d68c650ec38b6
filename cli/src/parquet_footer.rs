//! The column names in a Parquet file's footer, so that a dataset without a column is refused before
//! anything is uploaded. Reads no data: what the values are is for the trainer to judge.
//!
//! By hand, because the `parquet` crate and its dependencies cost more build time than the rest of
//! this package; the footer is Thrift's compact protocol, of which four rules are needed.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// Ends every file, after four bytes with the footer's length.
const MAGIC: &[u8; 4] = b"PAR1";
const TAIL: u64 = 8;
/// Footers of real files are kilobytes; more is a damaged length.
const LONGEST_FOOTER: u64 = 64 << 20;
/// Structures in a footer nest four deep.
const DEEPEST: u8 = 16;

/// Why there are no names.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FooterError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// Cut off, or something else altogether.
    #[error("it is not a whole Parquet file")]
    Shape,
}

/// The top-level columns of a file, in order.
pub(crate) fn columns(path: &Path) -> Result<Vec<String>, FooterError> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let tail_at = size.checked_sub(TAIL).ok_or(FooterError::Shape)?;
    file.seek(SeekFrom::Start(tail_at))?;
    let mut length = [0; 4];
    let mut magic = [0; 4];
    file.read_exact(&mut length)?;
    file.read_exact(&mut magic)?;
    let length = u64::from(u32::from_le_bytes(length));
    let footer_at = tail_at.checked_sub(length).ok_or(FooterError::Shape)?;
    if magic != *MAGIC || length > LONGEST_FOOTER {
        return Err(FooterError::Shape);
    }
    file.seek(SeekFrom::Start(footer_at))?;
    let mut footer = Vec::new();
    file.take(length).read_to_end(&mut footer)?;
    top_level(&footer).ok_or(FooterError::Shape)
}

/// An element of the schema: a name, and how many of the elements after it are inside it.
struct Element {
    name: String,
    n_children: usize,
}

fn top_level(footer: &[u8]) -> Option<Vec<String>> {
    let mut elements = schema(&mut Compact { rest: footer })?.into_iter();
    let root = elements.next()?;
    let mut names = Vec::new();
    for _ in 0..root.n_children {
        let column = elements.next()?;
        let mut n_inside = column.n_children;
        names.push(column.name);
        while n_inside > 0 {
            n_inside = n_inside - 1 + elements.next()?.n_children;
        }
    }
    Some(names)
}

/// `FileMetaData`: field 2 is the schema, flattened depth first.
fn schema(footer: &mut Compact<'_>) -> Option<Vec<Element>> {
    let mut field = 0;
    while let Some(kind) = footer.field(&mut field)? {
        if field == 2 && kind == LIST {
            let (n, _) = footer.list()?;
            return (0..n).map(|_| element(footer)).collect();
        }
        footer.skip(kind, DEEPEST)?;
    }
    None
}

/// `SchemaElement`: field 4 is its name, field 5 the number of its children.
fn element(footer: &mut Compact<'_>) -> Option<Element> {
    let mut element = Element {
        name: String::new(),
        n_children: 0,
    };
    let mut field = 0;
    while let Some(kind) = footer.field(&mut field)? {
        match (field, kind) {
            (4, BINARY) => element.name = String::from_utf8(footer.bytes()?.to_vec()).ok()?,
            (5, I32) => element.n_children = usize::try_from(footer.zigzag()?).ok()?,
            _ => footer.skip(kind, DEEPEST)?,
        }
    }
    Some(element)
}

const BOOLEANS: [u8; 2] = [1, 2];
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const STRUCT: u8 = 12;

/// Thrift's compact protocol; every `None` is a damaged footer.
struct Compact<'b> {
    rest: &'b [u8],
}

impl<'b> Compact<'b> {
    fn take(&mut self, n: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        self.take(length)
    }

    /// The kind of the next field, whose id goes into `id`; `Some(None)` at the structure's end.
    #[expect(
        clippy::option_option,
        reason = "damaged, at its end, or a field: three different things"
    )]
    fn field(&mut self, id: &mut i64) -> Option<Option<u8>> {
        let head = self.byte()?;
        if head == 0 {
            return Some(None);
        }
        *id = match head >> 4 {
            0 => self.zigzag()?,
            step => *id + i64::from(step),
        };
        Some(Some(head & 0x0f))
    }

    /// How many elements of which kind follow.
    fn list(&mut self) -> Option<(usize, u8)> {
        let head = self.byte()?;
        let n = match head >> 4 {
            15 => usize::try_from(self.varint()?).ok()?,
            n => usize::from(n),
        };
        Some((n, head & 0x0f))
    }

    fn skip(&mut self, kind: u8, depth: u8) -> Option<()> {
        let deeper = depth.checked_sub(1)?;
        match kind {
            _ if BOOLEANS.contains(&kind) => {}
            BYTE => self.take(1).map(|_| ())?,
            I16 | I32 | I64 => self.varint().map(|_| ())?,
            DOUBLE => self.take(8).map(|_| ())?,
            BINARY => self.bytes().map(|_| ())?,
            LIST | SET => {
                let (n, kind) = self.list()?;
                // In a list a boolean takes a byte; as a field it is in the field's head.
                let kind = if BOOLEANS.contains(&kind) { BYTE } else { kind };
                for _ in 0..n {
                    self.skip(kind, deeper)?;
                }
            }
            STRUCT => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, deeper)?;
                }
            }
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A footer as `parquet-format` lays it out: version, then the root with three children, one of them
    /// a list of its own.
    fn footer() -> Vec<u8> {
        let mut bytes = vec![0x15, 0x02, 0x19, 0x5c];
        let mut element = |name: &str, n_children: u8| {
            bytes.push(0x48);
            bytes.push(u8::try_from(name.len()).expect("short names"));
            bytes.extend(name.as_bytes());
            if n_children > 0 {
                bytes.extend([0x15, n_children * 2]);
            }
            bytes.push(0);
        };
        element("schema", 3);
        element("user_id", 0);
        element("items", 1);
        element("list", 0);
        element("timestamp", 0);
        bytes.push(0);
        bytes
    }

    fn file(footer: &[u8]) -> tempfile::NamedTempFile {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(footer);
        bytes.extend(u32::try_from(footer.len()).expect("short").to_le_bytes());
        bytes.extend(MAGIC);
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        std::fs::write(file.path(), bytes).expect("it can be written");
        file
    }

    #[test]
    fn only_top_level_columns_are_named() {
        let names = columns(file(&footer()).path()).expect("a whole footer");

        assert_eq!(names, ["user_id", "items", "timestamp"]);
    }

    #[test]
    fn a_footer_cut_anywhere_is_refused_and_never_panics() {
        let whole = footer();
        // Without its last byte the schema is still whole: what follows it is not read.
        for end in 0..whole.len() - 1 {
            let cut = whole.get(..end).expect("within the footer");
            assert!(columns(file(cut).path()).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn random_bytes_are_refused_and_never_panic() {
        let mut state = 7_u64;
        for _ in 0..2000 {
            let bytes: Vec<u8> = std::iter::repeat_with(|| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                state.to_be_bytes()[0]
            })
            .take(64)
            .collect();
            let _ = top_level(&bytes);
        }
    }

    #[test]
    fn a_short_file_is_no_parquet_file() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        std::fs::write(file.path(), "PAR1").expect("it can be written");

        assert!(matches!(columns(file.path()), Err(FooterError::Shape)));
    }
}
