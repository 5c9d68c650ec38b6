//! `ListObjectsV2`: prefix, delimiter, pages. Pure over the sorted keys.

/// One page of a listing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) keys: Vec<String>,
    pub(super) common_prefixes: Vec<String>,
    /// What the next page comes after; absent on the last one.
    pub(super) next: Option<String>,
}

/// Takes a page of sorted keys, all of which begin with `prefix` and come after `after`. `after` may be a
/// common prefix that an earlier page ended with: then all that it stands for was answered.
pub(super) fn page(
    keys: Vec<String>,
    prefix: &str,
    delimiter: Option<&str>,
    max_keys: usize,
    after: &str,
) -> Page {
    let mut page = Page::default();
    let mut last = String::new();
    for key in keys {
        let common = delimiter
            .filter(|delimiter| !delimiter.is_empty())
            .and_then(|delimiter| {
                let end = key.get(prefix.len()..)?.find(delimiter)?;
                key.get(..prefix.len() + end + delimiter.len())
            });
        if common.is_some_and(|common| common == last || common == after) {
            continue;
        }
        if page.keys.len() + page.common_prefixes.len() == max_keys {
            page.next = Some(last).filter(|last| !last.is_empty());
            return page;
        }
        if let Some(common) = common {
            common.clone_into(&mut last);
            page.common_prefixes.push(common.to_owned());
        } else {
            last.clone_from(&key);
            page.keys.push(key);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_every_key_and_prefix_once() {
        let all: Vec<String> = ["a/1", "a/2", "b", "c/1", "c/d/2", "e"]
            .map(String::from)
            .to_vec();
        for size in 1..=6 {
            let mut seen = Vec::new();
            let mut after = String::new();
            loop {
                let rest = all.iter().filter(|key| **key > after).cloned().collect();
                let page = page(rest, "", Some("/"), size, &after);
                seen.extend(page.keys);
                seen.extend(page.common_prefixes);
                match page.next {
                    Some(next) => after = next,
                    None => break,
                }
            }
            seen.sort();
            assert_eq!(seen, ["a/", "b", "c/", "e"], "pages of {size}");
        }
    }

    #[test]
    fn the_delimiter_counts_after_the_prefix_only() {
        let keys = ["a/b/1", "a/b/2", "a/c"].map(String::from).to_vec();

        let page = page(keys, "a/", Some("/"), 1000, "");

        assert_eq!(
            (page.keys, page.common_prefixes),
            (vec!["a/c".to_owned()], vec!["a/b/".to_owned()])
        );
    }
}
