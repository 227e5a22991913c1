# Who may do what, read from the policies as AWS would get them. Nothing here touches AWS: the providers are mocks.

mock_provider "aws" {
  mock_data "aws_caller_identity" { defaults = { account_id = "111122223333" } }
  mock_data "aws_partition" { defaults = { partition = "aws" } }
  mock_resource "aws_kms_key" { defaults = { arn = "arn:aws:kms:eu-central-1:111122223333:key/0f1e2d3c" } }
  mock_resource "aws_kms_replica_key" { defaults = { arn = "arn:aws:kms:eu-west-1:111122223333:key/mrk-0f1e2d3c" } }
  mock_resource "aws_sns_topic" { defaults = { arn = "arn:aws:sns:eu-central-1:111122223333:holdfast-topic" } }
  mock_resource "aws_sqs_queue" { defaults = { arn = "arn:aws:sqs:eu-central-1:111122223333:holdfast-queue" } }
  mock_resource "aws_iam_policy" { defaults = { arn = "arn:aws:iam::111122223333:policy/holdfast-boundary" } }
  mock_resource "aws_secretsmanager_secret" { defaults = { arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:holdfast/escrow-password-AbCdEf" } }
}

mock_provider "aws" {
  alias = "isolated"
}

variables {
  home_region         = "eu-central-1"
  recovery_region     = "eu-west-1"
  protected_buckets   = ["photos"]
  restore_buckets     = ["photos-restored"]
  operator_principals = ["arn:aws:iam::111122223333:role/ops"]
  server_secrets      = ["arn:aws:secretsmanager:eu-central-1:111122223333:secret:orders-backup-AbCdEf"]
  server_subnets      = ["subnet-0f1e2d3c"]
  actuators = [
    "arn:aws:rds::111122223333:global-cluster:orders",
    "arn:aws:rds:eu-central-1:111122223333:cluster:orders",
    "arn:aws:rds:eu-central-1:111122223333:db:orders-replica",
    "arn:aws:ecs:eu-central-1:111122223333:service/shop/orders",
    "arn:aws:lambda:eu-central-1:111122223333:function:orders",
    "arn:aws:autoscaling:eu-central-1:111122223333:autoScalingGroup:0f1e2d3c:autoScalingGroupName/workers",
    "arn:aws:route53-recovery-control::111122223333:controlpanel/0f1e/routingcontrol/2d3c",
  ]
}

run "only_lifecycle_destroys" {
  command = apply

  module {
    source = "./tests/statements"
  }

  assert {
    condition = length([for allowed in output.allowed : allowed
    if allowed.function != "lifecycle" && allowed.resource != output.drill_area && contains(output.destroying, allowed.action)]) == 0
    error_message = "a function that is not lifecycle may destroy: ${jsonencode([for allowed in output.allowed : allowed if allowed.function != "lifecycle" && allowed.resource != output.drill_area && contains(output.destroying, allowed.action)])}"
  }

  assert {
    condition     = length(setsubtract(output.destroying, [for allowed in output.allowed : allowed.action if allowed.function == "lifecycle"])) == 0
    error_message = "lifecycle lacks a right to delete what it must"
  }

  assert {
    condition     = alltrue([for function in output.functions : contains(output.refused[function], "s3:DeleteObjectVersion")])
    error_message = "every function is refused the destruction of versions outright"
  }

  # Hiding (a delete without a version, which the bucket's versions survive) is allowed where repositories need it.
  assert {
    condition = alltrue([for allowed in output.allowed :
      contains(["lifecycle", "verifier"], allowed.function)
      || can(regex("/repositories/\\*/(locks|keys|holdfast/jobs)/\\*$|^arn:aws:s3:::holdfast-drills-[^/]+/drills/\\*$|^arn:aws:s3:::holdfast-markers-[^/]+/traffic/\\*$", allowed.resource))
    if allowed.action == "s3:DeleteObject"])
    error_message = "a function may hide objects of a vault beyond a repository's own housekeeping"
  }
}

# The union of all roles says nothing of a right that one function uses and another one has.
run "rare_rights_are_with_those_who_use_them" {
  command = apply

  module {
    source = "./tests/statements"
  }

  assert {
    condition = jsonencode(output.holders) == jsonencode({
      "autoscaling:SetDesiredCapacity"                      = ["dr-failover"]
      "backup:CopyIntoBackupVault"                          = ["replicator"]
      "dynamodb:BatchWriteItem"                             = ["restore-runner"]
      "dynamodb:DeleteItem"                                 = ["restore-runner"]
      "dynamodb:UpdateItem"                                 = ["restore-runner"]
      "ec2:CreateNetworkInterface"                          = ["snapshot-trigger"]
      "ecs:UpdateService"                                   = ["dr-failover"]
      "kms:Encrypt"                                         = ["replicator", "snapshot-trigger"]
      "lambda:PutFunctionConcurrency"                       = ["dr-failover"]
      "rds:FailoverGlobalCluster"                           = ["dr-failover"]
      "rds:PromoteReadReplica"                              = ["dr-failover"]
      "route53-recovery-cluster:UpdateRoutingControlStates" = ["dr-failover"]
      "s3:DeleteObjectVersion"                              = ["dr-failover"]
      "s3:ListBucketVersions"                               = ["dr-failover"]
      "s3:PutObjectRetention"                               = ["dr-failover", "restore-runner", "verifier"]
      "secretsmanager:GetSecretValue"                       = ["replicator", "snapshot-trigger"]
    })
    error_message = "somebody has a right that he does not use, or lacks one: ${jsonencode(output.holders)}"
  }

  assert {
    condition     = alltrue([for allowed in output.allowed : startswith(allowed.resource, "arn:aws:s3:::holdfast-evidence-") if allowed.action == "s3:PutObjectRetention"])
    error_message = "a lock is put on something that is no evidence"
  }

  assert {
    condition = alltrue([for allowed in output.allowed : can(regex(":table/(restored-|\\*/backup/)\\*$", allowed.resource))
    if contains(["dynamodb:UpdateItem", "dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:Scan"], allowed.action)])
    error_message = "a table can be rewritten that no restore made"
  }

  assert {
    condition     = contains([for statement in jsondecode(output.boundary).Statement : statement if statement.Sid == "NeverFromTheCatalog"][0].Action, "dynamodb:UpdateItem")
    error_message = "the catalog can be rewritten"
  }

  # Repositories lie below repositories/<resource>/, which no pattern for their locks, keys and reports may leave.
  assert {
    condition = alltrue([for allowed in output.allowed : strcontains(allowed.resource, "/repositories/*/")
    if can(regex("/(locks|keys|jobs)/\\*$", allowed.resource))])
    error_message = "housekeeping reaches beyond repositories"
  }
}

run "a_function_makes_no_interface_by_itself" {
  command = apply

  module {
    source = "./tests/statements"
  }

  assert {
    condition     = contains(output.refused["snapshot-trigger"], "ec2:CreateNetworkInterface")
    error_message = "what snapshot-trigger runs may make network interfaces"
  }
}

run "without_servers_there_is_neither_a_password_nor_a_network" {
  command = apply

  module {
    source = "./tests/statements"
  }

  variables {
    server_secrets = []
    server_subnets = []
  }

  assert {
    condition     = length(output.holders["ec2:CreateNetworkInterface"]) == 0
    error_message = "a right is given that nothing needs: ${jsonencode(output.holders["ec2:CreateNetworkInterface"])}"
  }

  assert {
    condition = length([for allowed in output.allowed : allowed
    if allowed.action == "secretsmanager:GetSecretValue" && !endswith(allowed.resource, "holdfast/escrow-password-AbCdEf")]) == 0
    error_message = "a secret can be read that nobody named"
  }
}

run "no_resource_is_everything" {
  command = apply

  module {
    source = "./tests/statements"
  }

  assert {
    condition     = length([for allowed in output.allowed : allowed if allowed.resource == "*" && !contains(output.without_resources, allowed.action)]) == 0
    error_message = "an action that has resources is allowed on all of them: ${jsonencode([for allowed in output.allowed : allowed if allowed.resource == "*" && !contains(output.without_resources, allowed.action)])}"
  }

  assert {
    condition     = length([for allowed in output.allowed : allowed if strcontains(allowed.action, "*")]) == 0
    error_message = "an action is allowed by a pattern"
  }

  assert {
    condition     = alltrue([for function in output.functions : output.boundaries[function] == "arn:aws:iam::111122223333:policy/holdfast-boundary"])
    error_message = "a function has no boundary"
  }

  assert {
    condition     = alltrue([for size in values(output.sizes) : size <= 10240])
    error_message = "IAM takes 10,240 characters of inline policy for a role: ${jsonencode(output.sizes)}"
  }

  assert {
    condition     = output.looking_size <= 6144
    error_message = "IAM takes 6,144 characters of managed policy: ${output.looking_size}"
  }
}

run "people_need_mfa" {
  command = apply

  module {
    source = "./tests/statements"
  }

  assert {
    condition     = alltrue([for trust in values(output.trust_of_people) : trust.Statement[0].Condition.Bool["aws:MultiFactorAuthPresent"] == "true"])
    error_message = "a person gets a role without MFA"
  }

  assert {
    condition     = output.trust_of_people["operator"].Statement[0].Principal.AWS == ["arn:aws:iam::111122223333:role/ops"]
    error_message = "the operator is not who was named"
  }

  assert {
    condition     = output.trust_of_people["approver"].Statement[0].Condition.StringEquals["aws:PrincipalArn"] == "nobody"
    error_message = "an approver that nobody was named for is open to the account"
  }
}

run "an_operator_sees_what_he_must_act_on_and_only_an_approver_moves_production" {
  command = apply

  module {
    source = "./tests/statements"
  }

  # What docs/deploy.md has an operator do when an alarm rings, or after a drill was started.
  assert {
    condition = length(setsubtract(
      ["logs:FilterLogEvents", "states:DescribeExecution", "states:GetExecutionHistory", "sqs:GetQueueUrl", "sqs:StartMessageMoveTask"],
      output.people_may["operator"],
    )) == 0
    error_message = "an operator cannot see a log, a drill or a queue: ${jsonencode(output.people_may["operator"])}"
  }

  # A restore is asked for by one and seen by another; a run that moves production is started by an approver, with MFA, alone.
  assert {
    condition = alltrue([for statement in output.people_statements["approver"] : can(regex("^(SeeRuns|ReadTheCatalog|ReadLogs)$", statement.Sid))
    || try(statement.Condition.Bool["aws:MultiFactorAuthPresent"] == "true", false)])
    error_message = "an approver can do something without MFA: ${jsonencode(output.people_statements["approver"])}"
  }

  assert {
    condition     = length([for statement in output.people_statements["approver"] : statement if anytrue([for resource in flatten([statement.Resource]) : can(regex("restore-runner|holdfast-scheduler|stateMachine:holdfast-drill", resource)) && statement.Sid != "ReadLogs"])]) == 0
    error_message = "an approver can ask for what he approves: ${jsonencode(output.people_statements["approver"])}"
  }

  assert {
    condition = length([for statement in output.people_statements["operator"] : statement
      if anytrue([for resource in flatten([statement.Resource]) : can(regex("function:holdfast-dr-failover$|stateMachine:holdfast-(switchover|failover)$|:sqs:.*:holdfast-dr-failover$", resource))])
    && contains(flatten([statement.Action]), "sqs:GetQueueUrl") == false]) == 0
    error_message = "an operator can move production: ${jsonencode(output.people_statements["operator"])}"
  }
}
