variable "name" {
  description = "What the names of roles begin with: IAM has one of each name in an account, whatever the Region."
  type        = string
}

variable "functions" {
  description = "The functions that the deployment has."
  type        = list(string)
}

variable "account" { type = string }
variable "partition" { type = string }
variable "home_region" { type = string }

variable "regions" {
  description = "The Regions in which snapshots of services are made and kept."
  type        = list(string)
}

variable "table_arn" { type = string }
variable "alert_topic" { type = string }
variable "alert_key" { type = string }
variable "vault_buckets" { type = list(string) }
variable "vault_keys" { type = list(string) }
variable "backup_vaults" { type = list(string) }

variable "history_bucket" {
  description = "The bucket of evidence in the home Region, which keeps the histories of recovery runs as well."
  type        = string
}

variable "evidence_buckets" { type = list(string) }
variable "evidence_keys" { type = list(string) }
variable "drill_bucket" { type = string }
variable "wrapping_keys" { type = list(string) }
variable "signing_key" { type = string }

variable "source_keys" {
  description = "Keys that protected resources are encrypted with: read with, never written with."
  type        = list(string)
}

variable "escrow_secret" { type = string }
variable "escrow_key" { type = string }

variable "server_secrets" {
  description = "Secrets that hold passwords of PostgreSQL servers."
  type        = list(string)
}

variable "server_subnets" {
  description = "The subnets from which PostgreSQL servers are reached."
  type        = list(string)
}

variable "protected_buckets" { type = list(string) }
variable "restore_buckets" { type = list(string) }
variable "restore_tables" { type = list(string) }
variable "actuators" {
  description = "ARNs of what recovery plans may change."
  type        = list(string)
}

variable "marker_bucket" {
  description = "The bucket of the markers that lead traffic; null where another deployment leads it."
  type        = string
}

variable "operator_principals" { type = list(string) }
variable "approver_principals" { type = list(string) }
