variable "home_region" {
  description = "The Region where the functions run and backups are made."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.home_region))
    error_message = "A Region is spelt like eu-central-1."
  }
}

variable "recovery_region" {
  description = "The Region that keeps the copies. It must survive what the home Region does not."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.recovery_region))
    error_message = "A Region is spelt like eu-west-1."
  }

  validation {
    condition     = var.recovery_region != var.home_region
    error_message = "Copies in the home Region are lost with it: choose another Region."
  }
}

variable "alert_emails" {
  description = "Addresses that are paged. Each gets a message to confirm first."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "Each of alert_emails is one address, like on-call@example.com."
  }
}

variable "alert_endpoints" {
  description = "HTTPS addresses of paging services that are told as well."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alert_endpoints : startswith(address, "https://")])
    error_message = "Pages go over TLS only: each of alert_endpoints begins with https://."
  }
}

variable "operator_principals" {
  description = "ARNs of the IAM users, or of roles that are assumed with MFA, that may become operator: ask for restores and recovery runs."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.operator_principals : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(user|role)/", arn))])
    error_message = "Name persons or roles (arn:aws:iam::123456789012:role/...), never a whole account."
  }
}

variable "approver_principals" {
  description = "ARNs of the IAM users, or of roles that are assumed with MFA, that may become approver: see what an operator asks for. Nobody may be both."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.approver_principals : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(user|role)/", arn))])
    error_message = "Name persons or roles (arn:aws:iam::123456789012:role/...), never a whole account."
  }

  validation {
    condition     = length(setintersection(var.approver_principals, var.operator_principals)) == 0
    error_message = "An approver is somebody else than the operator who asks."
  }
}

variable "protected_buckets" {
  description = "Names of the buckets that are backed up."
  type        = list(string)
  default     = []
}

variable "restore_buckets" {
  description = "Names of the buckets that restores may write to, besides the area of drills."
  type        = list(string)
  default     = []

  validation {
    condition     = !anytrue([for name in var.restore_buckets : startswith(name, "holdfast-")])
    error_message = "Restores never write into Holdfast's own buckets."
  }
}

variable "restore_tables" {
  description = "Patterns of the names that restored DynamoDB tables may have (* for any characters). restore-runner may rewrite tables of such names."
  type        = list(string)
  default     = ["*-restored*", "restored-*"]

  validation {
    condition     = alltrue([for pattern in var.restore_tables : can(regex("^[A-Za-z0-9_.*-]+$", pattern)) && can(regex("[A-Za-z0-9]", pattern))])
    error_message = "Each of restore_tables is a part of a name with *, such as restored-*; a pattern for all tables would let restores rewrite them."
  }
}

variable "recovery_deployment" {
  description = "Whether a deployment of its own in the recovery Region moves workloads (template-recovery.yaml). It alone may then change what actuators and traffic_markers name."
  type        = bool
  default     = false
}

variable "actuators" {
  description = "ARNs of what recovery plans may change: Aurora global clusters and their clusters, read replicas, ECS services, Lambda functions, Auto Scaling groups, routing controls. dr-failover may change these and no other."
  type        = list(string)
  default     = []

  validation {
    condition = alltrue([for arn in var.actuators : can(regex("^arn:[a-z-]+:(rds|ecs|lambda|autoscaling|route53-recovery-control):[a-z0-9-]*:[0-9]{12}:[^*]+$", arn))
    && !can(regex(":function:holdfast-", arn))])
    error_message = "Each of actuators is the ARN of one thing that a plan changes, without *; none is a function of Holdfast."
  }
}

variable "traffic_markers" {
  description = "Names of markers that lead traffic to the Region where runs are driven (kind route53-marker, key traffic/NAME). Each costs a health check."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.traffic_markers : can(regex("^[a-z0-9-]{1,20}$", name))])
    error_message = "A marker's name has 1 to 20 of a-z, 0-9 and -."
  }
}

variable "source_keys" {
  description = "ARNs of the KMS keys that protected resources are encrypted with, besides the one made here."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.source_keys : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", arn))])
    error_message = "Name keys by their ARN (arn:aws:kms:...:key/...), not by an alias."
  }
}

variable "server_secrets" {
  description = "ARNs of the secrets that hold passwords of PostgreSQL servers (password-secret of a resource). snapshot-trigger may read these and no other."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.server_secrets : can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[^*]+$", arn))])
    error_message = "Each of server_secrets is the ARN of one secret (arn:aws:secretsmanager:...:secret:...), without *."
  }
}

variable "server_subnets" {
  description = "Ids of the private subnets from which PostgreSQL servers are reached, in the home Region; none by default. snapshot-trigger runs in them, and needs a way from there to AWS: see docs/deploy.md."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.server_subnets : can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "Each of server_subnets is spelt like subnet-0f1e2d3c."
  }
}

variable "server_security_groups" {
  description = "Ids of the security groups that snapshot-trigger has in server_subnets: servers let these in."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.server_security_groups : can(regex("^sg-[0-9a-f]+$", id))])
    error_message = "Each of server_security_groups is spelt like sg-0f1e2d3c."
  }

  validation {
    condition     = (length(var.server_security_groups) == 0) == (length(var.server_subnets) == 0)
    error_message = "server_subnets and server_security_groups go together: give both, or neither."
  }
}

variable "vault_lock_days" {
  description = "For how many days the versions of what is written to a vault's bucket are locked; 0, the default, locks nothing: Object Lock is then only possible."
  type        = number
  default     = 0

  validation {
    condition     = var.vault_lock_days >= 0 && var.vault_lock_days <= 3650 && floor(var.vault_lock_days) == var.vault_lock_days
    error_message = "vault_lock_days is a whole number from 0 to 3650."
  }
}

variable "evidence_lock_days" {
  description = "For how many days nobody, the root user included, can delete a signed statement. Cannot be shortened later."
  type        = number
  default     = 30

  validation {
    condition     = var.evidence_lock_days >= 1 && var.evidence_lock_days <= 3650 && floor(var.evidence_lock_days) == var.evidence_lock_days
    error_message = "evidence_lock_days is a whole number from 1 to 3650."
  }
}

variable "backup_lock_days" {
  description = "Least retention, in days, that AWS Backup's vaults are locked with; 0 for no vault lock. A locked vault takes only jobs with a retention at least as long and lets nobody delete a recovery point by hand. Holdfast sets no retention and deletes by itself, so kind aws_backup needs 0."
  type        = number
  default     = 0

  validation {
    condition     = var.backup_lock_days >= 0 && var.backup_lock_days <= 3650 && floor(var.backup_lock_days) == var.backup_lock_days
    error_message = "backup_lock_days is a whole number from 0 to 3650."
  }
}

variable "backup_lock_is_permanent" {
  description = "Whether the lock of AWS Backup vaults becomes unchangeable three days after it was set. There is no way back."
  type        = bool
  default     = false
}

variable "monthly_budget_usd" {
  description = "People are told when Holdfast's month costs, or will cost, more than this."
  type        = number
  default     = 100

  validation {
    condition     = var.monthly_budget_usd > 0
    error_message = "monthly_budget_usd is more than 0."
  }
}

variable "isolated_account_role" {
  description = "ARN of a role in another account, to make one more vault there; none by default. It takes copies of content (kind s3) only: snapshots and recovery points of services cannot be copied into another account."
  type        = string
  default     = null

  validation {
    condition     = var.isolated_account_role == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/", var.isolated_account_role))
    error_message = "isolated_account_role is the ARN of a role."
  }
}
