terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    openstack = {
      source  = "terraform-provider-openstack/openstack"
      version = "1.54.1"
    }
  }

  # Bucket, key and credentials come at `terraform init -backend-config=…`, never from here: see docs/machines.md.
  backend "s3" {}
}

# Where the cloud is and who asks comes from clouds.yaml and OS_CLOUD, or from the other OS_ variables.
provider "openstack" {}
