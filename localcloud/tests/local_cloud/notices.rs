//! SNS over the wire.

use aws_sdk_sns::error::ProvideErrorMetadata;
use aws_sdk_sns::types::MessageAttributeValue;

use super::place::Place;

#[tokio::test]
async fn a_notice_is_kept_as_it_was_published_also_across_a_restart() {
    let mut place = Place::new().await;
    let topic = place
        .cloud
        .physical("Topic")
        .expect("the template has the topic");
    let kind = MessageAttributeValue::builder()
        .data_type("String")
        .string_value("failed")
        .build()
        .expect("it is complete");

    let sent = place
        .sns()
        .publish()
        .topic_arn(&topic)
        .subject("recommender failed & why <not>")
        .message(r#"{"default":"the body","email":"für Menschen"}"#)
        .message_structure("json")
        .message_attributes("kind", kind)
        .send()
        .await
        .expect("the notice is accepted");
    place = place.again().await;

    let notices = place.cloud.notices();
    let [notice] = notices.as_slice() else {
        panic!("there is one notice: {notices:?}")
    };
    assert_eq!(Some(notice.message_id.as_str()), sent.message_id());
    assert_eq!(
        notice.subject.as_deref(),
        Some("recommender failed & why <not>")
    );
    assert!(notice.message.contains("für Menschen"));
    assert_eq!(
        notice.attributes.get("kind").map(String::as_str),
        Some("failed")
    );
    assert!(place.folder.join("notices/0001.json").exists());
}

#[tokio::test]
async fn what_sns_refuses_is_refused() {
    let place = Place::new().await;
    let topic = place
        .cloud
        .physical("Topic")
        .expect("the template has the topic");
    let publish = || place.sns().publish().topic_arn(&topic).message("m");

    for (what, request, code) in [
        (
            "an unknown topic",
            publish().topic_arn("arn:aws:sns:us-east-1:123456789012:none"),
            "NotFound",
        ),
        (
            "a subject of 100",
            publish().subject("s".repeat(100)),
            "InvalidParameter",
        ),
        (
            "a subject of two lines",
            publish().subject("a\nb"),
            "InvalidParameter",
        ),
        (
            "a message of 262,145 bytes",
            publish().message("m".repeat(262_145)),
            "InvalidParameter",
        ),
        (
            "a JSON structure without a default",
            publish().message("{}").message_structure("json"),
            "InvalidParameter",
        ),
    ] {
        let error = request.send().await.expect_err(what);
        assert_eq!(error.code(), Some(code), "{what}");
    }
    publish()
        .subject("s".repeat(99))
        .message("m".repeat(262_144))
        .send()
        .await
        .expect("this just fits");

    assert_eq!(place.cloud.notices().len(), 1);
}
