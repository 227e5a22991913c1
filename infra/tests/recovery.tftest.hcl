# The deployment in the recovery Region stands by itself, and it alone moves production. Nothing here touches AWS: the providers
# are mocks.

mock_provider "aws" {
  mock_data "aws_caller_identity" { defaults = { account_id = "111122223333" } }
  mock_data "aws_partition" { defaults = { partition = "aws" } }
  mock_resource "aws_kms_key" { defaults = { arn = "arn:aws:kms:eu-central-1:111122223333:key/0f1e2d3c" } }
  mock_resource "aws_kms_replica_key" { defaults = { arn = "arn:aws:kms:eu-west-1:111122223333:key/mrk-0f1e2d3c" } }
  mock_resource "aws_sns_topic" { defaults = { arn = "arn:aws:sns:eu-central-1:111122223333:holdfast-topic" } }
  mock_resource "aws_sqs_queue" { defaults = { arn = "arn:aws:sqs:eu-central-1:111122223333:holdfast-queue" } }
  mock_resource "aws_iam_policy" { defaults = { arn = "arn:aws:iam::111122223333:policy/holdfast-boundary" } }
  mock_resource "aws_iam_role" { defaults = { arn = "arn:aws:iam::111122223333:role/holdfast" } }
  mock_resource "aws_secretsmanager_secret" { defaults = { arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:holdfast/escrow-password-AbCdEf" } }

  override_resource {
    target = module.recovery_alerts["recovery"].aws_sns_topic.alerts
    values = { arn = "arn:aws:sns:eu-west-1:111122223333:holdfast-alerts" }
  }

  override_resource {
    target = module.recovery_alerts["recovery"].aws_kms_key.this
    values = { arn = "arn:aws:kms:eu-west-1:111122223333:key/a1" }
  }

  override_resource {
    target = module.recovery_evidence["recovery"].aws_kms_key.this
    values = { arn = "arn:aws:kms:eu-west-1:111122223333:key/c1" }
  }

  override_resource {
    target = module.keys.aws_kms_key.signing["eu-west-1"]
    values = { arn = "arn:aws:kms:eu-west-1:111122223333:key/e1" }
  }

  override_resource {
    target = module.vault["recovery"].aws_kms_key.this
    values = { arn = "arn:aws:kms:eu-west-1:111122223333:key/b1" }
  }
}

mock_provider "aws" {
  alias = "isolated"
}

variables {
  home_region         = "eu-central-1"
  recovery_region     = "eu-west-1"
  recovery_deployment = true
  traffic_markers     = ["west"]
  approver_principals = ["arn:aws:iam::111122223333:role/heads"]
  actuators = [
    "arn:aws:ecs:eu-central-1:111122223333:service/shop/orders",
    "arn:aws:ecs:eu-west-1:111122223333:service/shop/orders",
  ]
}

run "it_needs_nothing_of_the_home_region" {
  command = apply

  assert {
    condition     = !strcontains(jsonencode(output.recovery_parameters), "eu-central-1")
    error_message = "a parameter names the home Region: ${jsonencode(output.recovery_parameters)}"
  }

  assert {
    condition     = module.recovery_alerts["recovery"].region == "eu-west-1" && module.recovery_evidence["recovery"].region == "eu-west-1"
    error_message = "people are told, or evidence is kept, in the home Region"
  }

  assert {
    condition     = strcontains(module.recovery_catalog["recovery"].table_arn, ":eu-west-1:")
    error_message = "the catalog is written in the home Region"
  }

  # What a plan changes may be in the Region that is lost; it is what a failover leaves out, or fences as far as it answers.
  assert {
    condition = alltrue([for policy in values(module.recovery_roles["recovery"].function_policies) : alltrue([
      for statement in jsondecode(policy).Statement : !strcontains(jsonencode(statement), "eu-central-1") if statement.Sid != "ScaleServices"
    ])])
    error_message = "a function has a right in the home Region: ${jsonencode(module.recovery_roles["recovery"].function_policies)}"
  }

  assert {
    condition     = alltrue([for policy in values(module.recovery_roles["recovery"].people_policies) : !strcontains(policy, "eu-central-1")])
    error_message = "people are sent to the home Region: ${jsonencode(module.recovery_roles["recovery"].people_policies)}"
  }

  assert {
    condition     = output.markers.bucket == "holdfast-markers-111122223333-eu-west-1"
    error_message = "what leads traffic away from a Region stands in it: ${output.markers.bucket}"
  }
}

run "nothing_that_is_written_is_shared" {
  command = apply

  assert {
    condition     = output.recovery_parameters.CatalogTable != output.sam_parameters.CatalogTable
    error_message = "one catalog would have writers in two Regions"
  }

  assert {
    condition     = length(setintersection([for bucket in jsondecode(output.recovery_parameters.Evidence) : bucket.bucket], [for bucket in jsondecode(output.sam_parameters.Evidence) : bucket.bucket])) == 0
    error_message = "two chains of evidence would mix"
  }
}

run "it_alone_moves_production" {
  command = apply

  assert {
    condition     = length([for statement in jsondecode(module.roles.function_policies["dr-failover"]).Statement : statement if can(regex("^(Markers|FindMarkers|ScaleServices)$", statement.Sid))]) == 0
    error_message = "two deployments may change the same thing: ${module.roles.function_policies["dr-failover"]}"
  }

  assert {
    condition     = alltrue([for arn in var.actuators : strcontains(module.recovery_roles["recovery"].function_policies["dr-failover"], arn)])
    error_message = "it cannot change what plans change"
  }

  assert {
    condition     = keys(module.recovery_roles["recovery"].function_policies) == ["dr-failover", "scheduler"]
    error_message = "it has roles of functions that are not there"
  }
}

run "without_it_the_home_region_moves_production" {
  command = apply

  variables { recovery_deployment = false }

  assert {
    condition     = output.recovery_parameters == null && output.markers.bucket == "holdfast-markers-111122223333-eu-central-1"
    error_message = "something of it is made unasked"
  }

  assert {
    condition     = alltrue([for arn in var.actuators : strcontains(module.roles.function_policies["dr-failover"], arn)])
    error_message = "nobody may change what plans change"
  }
}
