# People are told before a month becomes expensive.

variable "limit_usd" { type = number }
variable "topic" { type = string }

resource "aws_budgets_budget" "this" {
  name         = "holdfast"
  budget_type  = "COST"
  limit_amount = tostring(var.limit_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  # The tag must be activated for cost allocation once, in the billing console.
  cost_filter {
    name   = "TagKeyValue"
    values = ["user:application$holdfast"]
  }

  notification {
    comparison_operator       = "GREATER_THAN"
    threshold                 = 80
    threshold_type            = "PERCENTAGE"
    notification_type         = "ACTUAL"
    subscriber_sns_topic_arns = [var.topic]
  }

  notification {
    comparison_operator       = "GREATER_THAN"
    threshold                 = 100
    threshold_type            = "PERCENTAGE"
    notification_type         = "FORECASTED"
    subscriber_sns_topic_arns = [var.topic]
  }
}
