# Mistakes are refused before anything is planned.

mock_provider "aws" {}

mock_provider "aws" {
  alias = "isolated"
}

variables {
  home_region     = "eu-central-1"
  recovery_region = "eu-west-1"
}

run "copies_must_leave_the_region" {
  command = plan
  variables { recovery_region = "eu-central-1" }
  expect_failures = [var.recovery_region]
}

run "a_region_is_spelt_right" {
  command = plan
  variables { home_region = "Frankfurt" }
  expect_failures = [var.home_region]
}

run "nobody_approves_his_own_request" {
  command = plan
  variables {
    operator_principals = ["arn:aws:iam::111122223333:role/ops"]
    approver_principals = ["arn:aws:iam::111122223333:role/ops"]
  }
  expect_failures = [var.approver_principals]
}

run "a_whole_account_is_no_operator" {
  command = plan
  variables { operator_principals = ["arn:aws:iam::111122223333:root"] }
  expect_failures = [var.operator_principals]
}

run "restores_stay_out_of_our_buckets" {
  command = plan
  variables { restore_buckets = ["holdfast-vault-primary-111122223333-eu-central-1"] }
  expect_failures = [var.restore_buckets]
}

run "restores_do_not_rewrite_every_table" {
  command = plan
  variables { restore_tables = ["*"] }
  expect_failures = [var.restore_tables]
}

run "pages_go_over_tls" {
  command = plan
  variables { alert_endpoints = ["http://pages.example.com"] }
  expect_failures = [var.alert_endpoints]
}

run "evidence_is_always_locked" {
  command = plan
  variables { evidence_lock_days = 0 }
  expect_failures = [var.evidence_lock_days]
}

run "a_network_has_subnets_and_security_groups" {
  command = plan
  variables { server_subnets = ["subnet-0f1e2d3c"] }
  expect_failures = [var.server_security_groups]
}

run "secrets_are_named_one_by_one" {
  command = plan
  variables { server_secrets = ["arn:aws:secretsmanager:eu-central-1:111122223333:secret:*"] }
  expect_failures = [var.server_secrets]
}

run "a_lock_lasts_whole_days" {
  command = plan
  variables { vault_lock_days = 1.5 }
  expect_failures = [var.vault_lock_days]
}
