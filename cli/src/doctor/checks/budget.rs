//! The month's budget, where the stack has one.

use serde_json::Value;

use super::super::call::Call;
use super::super::case::Case;
use super::super::command::Answers;
use super::super::finding::{Finding, json};

const CHECK: &str = "budget";
const KIND: &str = "AWS::Budgets::Budget";

fn call(case: &Case) -> Option<Call> {
    let (_, name) = case.deployed(KIND).next()?;
    Some(case.call(
        "budgets:ViewBudget",
        [
            "budgets",
            "describe-budget",
            "--account-id",
            &case.account,
            "--budget-name",
            name,
        ],
    ))
}

pub(super) fn calls(case: &Case) -> Vec<Call> {
    call(case).into_iter().collect()
}

pub(super) fn findings(case: &Case, answers: &Answers) -> Vec<Finding> {
    let Some(call) = call(case) else {
        return Vec::new();
    };
    let answer = answers.of(&call);
    vec![
        json(CHECK, &call, &answer)
            .map_or_else(|finding| finding, |value| judge(value).asked(&call)),
    ]
}

fn judge(answer: &Value) -> Finding {
    // Amounts are texts.
    let amount = |pointer: &str| -> Option<f64> { answer.pointer(pointer)?.as_str()?.parse().ok() };
    let Some(limit) = amount("/Budget/BudgetLimit/Amount") else {
        return Finding::unknown(
            CHECK,
            "the answer has no Budget.BudgetLimit",
            "run the command and look",
        );
    };
    let spent = amount("/Budget/CalculatedSpend/ActualSpend/Amount").unwrap_or_default();
    let expected = amount("/Budget/CalculatedSpend/ForecastedSpend/Amount").unwrap_or_default();
    let todo = "`trainspot runs` says which runs cost it; max_usd_per_run and max_usd_per_month in the spec hold it";
    if spent > limit {
        Finding::bad(
            CHECK,
            format!("${spent:.2} of ${limit:.2} are spent this month"),
            todo,
        )
    } else if expected > limit {
        Finding::warn(
            CHECK,
            format!("AWS expects ${expected:.2} this month, and the budget is ${limit:.2}"),
            todo,
        )
    } else {
        Finding::ok(
            CHECK,
            format!("${spent:.2} of ${limit:.2} are spent this month"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use serde_json::json;

    #[test]
    fn spent_is_bad_and_expected_a_warning() {
        let verdict = |spent: &str, expected: &str| {
            judge(&json!({"Budget": {"BudgetLimit": {"Amount": "100.0", "Unit": "USD"}, "CalculatedSpend":
                {"ActualSpend": {"Amount": spent, "Unit": "USD"}, "ForecastedSpend": {"Amount": expected, "Unit": "USD"}}}})).verdict
        };

        assert_eq!(verdict("12.5", "30"), Verdict::Ok);
        assert_eq!(verdict("12.5", "130"), Verdict::Warn);
        assert_eq!(verdict("120", "130"), Verdict::Bad);
    }
}
