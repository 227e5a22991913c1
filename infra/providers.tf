# One provider serves both Regions: since version 6 every resource takes its own `region`.
provider "aws" {
  region = var.home_region

  default_tags {
    tags = { application = "holdfast" }
  }
}

# Another account for one more vault. Without `isolated_account_role` it stands for this account, and nothing uses it.
provider "aws" {
  alias  = "isolated"
  region = var.recovery_region

  dynamic "assume_role" {
    for_each = var.isolated_account_role == null ? [] : [var.isolated_account_role]
    content {
      role_arn = assume_role.value
    }
  }

  default_tags {
    tags = { application = "holdfast" }
  }
}
