//! The image: whether its digest is in the registry, and whether it runs on the hosts.

use serde_json::Value;

use super::super::call::{Answer, Call};
use super::super::case::Case;
use super::super::command::Answers;
use super::super::finding::{Finding, not_checked};

const PARAMETERS: [&str; 2] = ["ImageUri", "PostProcessingImageUri"];
/// The hosts' architecture: none of the instance types that have a shape here is of another one.
const ARCHITECTURE: &str = "amd64";
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// An image in ECR.
#[derive(Debug, PartialEq, Eq)]
struct InEcr<'i> {
    account: &'i str,
    region: &'i str,
    repository: &'i str,
    digest: &'i str,
}

/// `123456789012.dkr.ecr.us-east-1.amazonaws.com/trainer@sha256:…`
fn in_ecr(image: &str) -> Option<InEcr<'_>> {
    let (host, path) = image.split_once('/')?;
    let (repository, digest) = path.split_once('@')?;
    let (account, rest) = host.split_once(".dkr.ecr.")?;
    let (region, domain) = rest.split_once('.')?;
    (domain.starts_with("amazonaws.com")).then_some(InEcr {
        account,
        region,
        repository,
        digest,
    })
}

fn images(case: &Case) -> Vec<(&'static str, String)> {
    let images = PARAMETERS
        .into_iter()
        .filter_map(|name| Some((name, case.parameter(name)?)));
    let mut images: Vec<_> = images.filter(|(_, image)| !image.is_empty()).collect();
    images.dedup_by(|one, other| one.1 == other.1);
    images
}

fn call(image: &InEcr<'_>) -> Call {
    let id = format!("imageDigest={}", image.digest);
    let words = [
        "ecr",
        "batch-get-image",
        "--registry-id",
        image.account,
        "--repository-name",
        image.repository,
        "--image-ids",
        &id,
        "--accepted-media-types",
    ];
    Call::new(
        image.region,
        "ecr:BatchGetImage",
        words.into_iter().chain(MANIFESTS),
    )
}

pub(super) fn calls(case: &Case) -> Vec<Call> {
    let images = images(case);
    images
        .iter()
        .filter_map(|(_, image)| Some(call(&in_ecr(image)?)))
        .collect()
}

pub(super) fn findings(case: &Case, answers: &Answers) -> Vec<Finding> {
    let images = images(case);
    if images.is_empty() {
        const WHAT: &str = "nobody says which image a training runs in";
        const TODO: &str = "push one to the output ImageRepositoryUri and deploy again with ImageUri=<repository>@sha256:<digest>";
        let verdict = if case.stack.is_some() {
            Finding::bad("image", format!("{WHAT}: no run can start"), TODO)
        } else {
            Finding::warn("image", WHAT, TODO)
        };
        return vec![verdict];
    }
    images
        .iter()
        .map(|(parameter, image)| {
            let check = format!("image, {parameter}");
            let Some(place) = in_ecr(image) else {
                return Finding::unknown(
                    &check,
                    format!("`{image}` is not in ECR, where AWS could be asked for it"),
                    format!("docker manifest inspect {image}; hosts pull it without a login"),
                );
            };
            let call = call(&place);
            match answers.of(&call) {
                Answer::Json(value) => judge(&check, image, &place, &value, &case.region),
                Answer::Absent { .. } => missing(&check, image),
                other => not_checked(&check, &call, &other),
            }
            .asked(&call)
        })
        .collect()
}

fn missing(check: &str, image: &str) -> Finding {
    Finding::bad(
        check,
        format!("`{image}` is not in the registry: every job would fail to start"),
        "push the image and deploy with the digest that the push prints",
    )
}

fn judge(check: &str, image: &str, place: &InEcr<'_>, answer: &Value, region: &str) -> Finding {
    let Some(manifest) = answer
        .pointer("/images/0/imageManifest")
        .and_then(Value::as_str)
    else {
        return missing(check, image);
    };
    let manifest: Value = serde_json::from_str(manifest).unwrap_or_default();
    // An index says what each of its images is for; a single image says it only in its configuration,
    // which the `aws` command cannot fetch.
    let architectures: Vec<&str> = manifest
        .get("manifests")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|one| {
            one.pointer("/platform/architecture")
                .and_then(Value::as_str)
        })
        .collect();
    if !architectures.is_empty() && !architectures.contains(&ARCHITECTURE) {
        return Finding::bad(
            check,
            format!(
                "it is built for {}, and the hosts are {ARCHITECTURE}",
                architectures.join(", ")
            ),
            format!("build it for {ARCHITECTURE}: docker build --platform linux/{ARCHITECTURE}"),
        );
    }
    if place.region != region {
        return Finding::warn(
            check,
            format!(
                "it is in {}, and the hosts are in {region}: each pull goes over regions, which is slow and costs",
                place.region
            ),
            format!("push it to a repository in {region}"),
        );
    }
    if architectures.is_empty() {
        return Finding::ok(
            check,
            "it is in the registry; what it is built for is not in its manifest",
        )
        .with(format!(
            "docker image inspect --format '{{{{.Architecture}}}}' must say {ARCHITECTURE}"
        ));
    }
    Finding::ok(
        check,
        format!("it is in the registry, for {}", architectures.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use serde_json::json;

    const IMAGE: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/trainer@sha256:abc";

    fn verdict(answer: &Value, region: &str) -> Verdict {
        let place = in_ecr(IMAGE).expect("in ECR");
        judge("image", IMAGE, &place, answer, region).verdict
    }

    fn index(architecture: &str) -> Value {
        let manifest = json!({"schemaVersion": 2, "manifests": [{"platform": {"architecture": architecture, "os": "linux"}}]});
        json!({"images": [{"registryId": "123456789012", "imageManifest": manifest.to_string()}], "failures": []})
    }

    #[test]
    fn an_image_in_ecr_is_taken_apart() {
        let place = in_ecr(IMAGE);

        assert_eq!(
            place,
            Some(InEcr {
                account: "123456789012",
                region: "us-east-1",
                repository: "team/trainer",
                digest: "sha256:abc"
            })
        );
        assert_eq!(in_ecr("ghcr.io/team/trainer@sha256:abc"), None);
    }

    #[test]
    fn a_digest_that_is_not_there_and_a_foreign_architecture_are_bad() {
        let failure = json!({"images": [], "failures": [{"imageId": {"imageDigest": "sha256:abc"}, "failureCode": "ImageNotFound"}]});
        let single =
            json!({"images": [{"imageManifest": "{\"schemaVersion\": 2, \"config\": {}}"}]});

        assert_eq!(verdict(&index("amd64"), "us-east-1"), Verdict::Ok);
        assert_eq!(verdict(&index("arm64"), "us-east-1"), Verdict::Bad);
        assert_eq!(verdict(&index("amd64"), "eu-west-1"), Verdict::Warn);
        assert_eq!(verdict(&single, "us-east-1"), Verdict::Ok);
        assert_eq!(verdict(&failure, "us-east-1"), Verdict::Bad);
    }
}
