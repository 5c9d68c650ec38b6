//! Dead letters: what is put away, received, hidden, deleted, and found by the next process.

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use serde_json::{Value, json};
use trainspot_localcloud::Happening;

use super::place::Place;

fn queue(place: &Place) -> String {
    place
        .cloud
        .physical("DeadLetters")
        .expect("the template has the queue")
}

async fn receive(place: &Place, hidden_s: i32) -> Vec<Message> {
    let received = place
        .sqs()
        .receive_message()
        .queue_url(queue(place))
        .max_number_of_messages(10)
        .visibility_timeout(hidden_s)
        .message_attribute_names("All")
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .send()
        .await
        .expect("SQS answers");
    received.messages.unwrap_or_default()
}

/// How many messages are visible, and how many hidden.
async fn count(place: &Place) -> (String, String) {
    let attributes = place
        .sqs()
        .get_queue_attributes()
        .queue_url(queue(place))
        .attribute_names(QueueAttributeName::All)
        .send()
        .await
        .expect("SQS answers")
        .attributes
        .expect("all attributes");
    let of = |name| attributes.get(&name).cloned().unwrap_or_default();
    (
        of(QueueAttributeName::ApproximateNumberOfMessages),
        of(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
    )
}

fn counted(visible: &str, hidden: &str) -> (String, String) {
    (visible.to_owned(), hidden.to_owned())
}

/// An event whose target cannot be given an input.
async fn odd(place: &mut Place, n: u32) {
    place
        .cloud
        .put_event(json!({ "source": "odd", "detail-type": "Odd", "detail": { "n": n } }))
        .await;
    place
        .until("the dead letter", |happening| {
            matches!(happening, Happening::DeadLettered { function, .. } if function == "AskFunction")
        })
        .await;
}

#[tokio::test]
async fn an_event_that_cannot_be_handed_over_is_kept_whole_with_the_reasons_beside_it() {
    let mut place = Place::new().await;

    odd(&mut place, 1).await;

    let [letter] = receive(&place, 30).await.try_into().expect("one letter");
    let body: Value = serde_json::from_str(letter.body().unwrap_or_default()).expect("JSON");
    assert_eq!(body["detail"], json!({ "n": 1 }));
    let attributes = letter.message_attributes.expect("it says why");
    let of = |name: &str| attributes.get(name).and_then(|value| value.string_value());
    assert!(
        of("RULE_ARN").is_some_and(|arn| arn.ends_with("-OnOdd")),
        "{attributes:?}"
    );
    assert!(
        of("TARGET_ARN").is_some_and(|arn| arn.ends_with("-AskFunction")),
        "{attributes:?}"
    );
    assert_eq!(of("ERROR_CODE"), Some("INVALID_INPUT"));
    assert!(
        of("ERROR_MESSAGE").is_some_and(|why| why.contains("nobody-knows")),
        "{attributes:?}"
    );
}

#[tokio::test]
async fn a_received_letter_is_hidden_until_it_is_given_back_or_deleted() {
    let mut place = Place::new().await;
    odd(&mut place, 1).await;
    odd(&mut place, 2).await;
    assert_eq!(count(&place).await, counted("2", "0"));

    let received = receive(&place, 600).await;
    assert_eq!(received.len(), 2);
    assert_eq!(receive(&place, 600).await, []);
    assert_eq!(count(&place).await, counted("0", "2"));

    let receipt = |n: usize| received.get(n).and_then(Message::receipt_handle);
    let url = queue(&place);
    for again in ["deleted", "deleted twice is deleted"] {
        place
            .sqs()
            .delete_message()
            .queue_url(&url)
            .set_receipt_handle(receipt(0).map(str::to_owned))
            .send()
            .await
            .expect(again);
    }
    let give_back = place
        .sqs()
        .change_message_visibility()
        .queue_url(&url)
        .set_receipt_handle(receipt(1).map(str::to_owned))
        .visibility_timeout(0)
        .send();
    give_back.await.expect("SQS answers");

    assert_eq!(count(&place).await, counted("1", "0"));
    let [left] = receive(&place, 600).await.try_into().expect("one letter");
    let times = left.attributes.and_then(|all| {
        all.get(&MessageSystemAttributeName::ApproximateReceiveCount)
            .cloned()
    });
    assert_eq!(times.as_deref(), Some("2"));
}

#[tokio::test]
async fn letters_outlive_the_process_and_are_visible_again() {
    let mut place = Place::new().await;
    odd(&mut place, 1).await;
    let before = receive(&place, 600).await;

    place = place.again().await;

    let after = receive(&place, 600).await;
    let ids = |letters: &[Message]| -> Vec<_> {
        letters
            .iter()
            .map(|letter| letter.message_id.clone())
            .collect()
    };
    assert_eq!(ids(&after), ids(&before));
}

#[tokio::test]
async fn other_queues_and_other_actions_do_not_exist() {
    let place = Place::new().await;

    let other = place
        .sqs()
        .get_queue_url()
        .queue_name("orders")
        .send()
        .await
        .expect_err("there is no such queue")
        .into_service_error();
    assert!(other.is_queue_does_not_exist(), "{other:?}");
    let sent = place
        .sqs()
        .send_message()
        .queue_url(queue(&place))
        .message_body("{}")
        .send()
        .await;
    assert!(sent.is_err(), "only the cloud itself puts letters away");
    assert_eq!(count(&place).await, counted("0", "0"));
}

#[tokio::test]
async fn an_accepted_invocation_outlives_a_stop() {
    let mut place = Place::new().await;
    let count = place.scratch("count");
    let event = json!({
        "source": "aws.batch",
        "detail-type": "Batch Job State Change",
        "detail": { "status": "FAILED", "jobQueue": place.cloud.physical("SpotQueue") },
        "count_in": count,
        "hang": true,
    });
    place.cloud.put_event(event).await;
    place
        .until_true("it is at work", || {
            std::fs::read_to_string(&count).is_ok_and(|text| text == "1")
        })
        .await;

    place = place.again().await;

    place
        .until_true("it is at work again", || {
            std::fs::read_to_string(&count).is_ok_and(|text| text == "2")
        })
        .await;
    place.cloud.stop().await;
}
