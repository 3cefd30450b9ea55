# The first seven are checked in modules/nodes, so that every way to machines refuses the same things.

variable "cluster_name" {
  description = "Name of the cluster; every machine, network and rule begins with it."
  type        = string
  default     = "segue"
}

variable "control_plane_count" {
  description = "Machines that run etcd and the Kubernetes API: 1, 3, 5 or 7."
  type        = number
  default     = 1
}

variable "worker_count" {
  description = "Machines that run everything else; with 0 the control plane does."
  type        = number
  default     = 2
}

variable "ssh_user" {
  description = "User that cloud-init makes and that Ansible logs in as."
  type        = string
  default     = "segue"
}

variable "ssh_public_keys" {
  description = "Public keys that may log in; they are the only way in."
  type        = list(string)
}

variable "network_cidr" {
  description = "IPv4 network of the nodes, at least a /24."
  type        = string
  default     = "10.20.0.0/24"
}

variable "pod_cidr" {
  description = "IPv4 network of the pods; nodes route it between each other as it is."
  type        = string
  default     = "10.244.0.0/16"
}

variable "external_network" {
  description = "The cloud's network that floating addresses come from; `openstack network list --external` names it."
  type        = string
}

variable "dns_servers" {
  description = "Name servers of the nodes; empty takes the cloud's."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for server in var.dns_servers : can(cidrnetmask("${server}/32"))])
    error_message = "dns_servers is ${jsonencode(var.dns_servers)}; every entry needs to be an IPv4 address, such as 192.0.2.53."
  }
}

variable "image_name" {
  description = "Image with cloud-init that the machines boot from: Debian 12 or Ubuntu 22.04 and newer."
  type        = string
}

variable "control_plane_flavor" {
  description = "Size of a control plane; Kubernetes needs 2 cores and 4 GiB, and with worker_count 0 all the rest fits here too."
  type        = string
}

variable "worker_flavor" {
  description = "Size of a worker."
  type        = string
}

variable "availability_zone" {
  description = "Zone of machines and disk, which have to be in the same one; null lets the cloud choose."
  type        = string
  default     = null
}

variable "data_volume_gib" {
  description = "Size of the object store's disk in GiB. It can grow later, never shrink."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.data_volume_gib >= 10 && floor(var.data_volume_gib) == var.data_volume_gib
    error_message = "data_volume_gib is ${var.data_volume_gib}; the object store needs a disk of whole GiB, at least 10."
  }
}

variable "admin_cidrs" {
  description = "Networks that may reach SSH and the Kubernetes API of the first control plane."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.admin_cidrs) > 0
    error_message = "admin_cidrs is empty; then nobody, Ansible included, could reach the machines. Give your own network, such as 198.51.100.7/32."
  }

  validation {
    condition     = alltrue([for cidr in var.admin_cidrs : can(cidrnetmask(cidr)) && try(cidrhost(cidr, 0) == split("/", cidr)[0], false)])
    error_message = "admin_cidrs is ${jsonencode(var.admin_cidrs)}; every entry needs to be an IPv4 network, written by its first address, such as 198.51.100.0/24."
  }

  # Two halves of the world are the world: nothing wider than a /8 is somebody's own network.
  validation {
    condition     = alltrue([for cidr in var.admin_cidrs : try(tonumber(split("/", cidr)[1]) >= 8, true)])
    error_message = "admin_cidrs is ${jsonencode(var.admin_cidrs)}; a network wider than /8 would open SSH and the Kubernetes API to the internet. Give the networks that your admins come from."
  }
}

variable "gateway_cidrs" {
  description = "Networks that may reach the gateway's ports; empty opens none of them."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.gateway_cidrs : can(cidrnetmask(cidr)) && try(cidrhost(cidr, 0) == split("/", cidr)[0], false)])
    error_message = "gateway_cidrs is ${jsonencode(var.gateway_cidrs)}; every entry needs to be an IPv4 network, written by its first address, such as 198.51.100.0/24, or 0.0.0.0/0 for everybody."
  }
}

variable "gateway_ports" {
  description = "Ports at which the cluster's gateway listens on a node."
  type        = set(number)
  default     = [30000]
  nullable    = false

  validation {
    condition = alltrue([for port in var.gateway_ports :
    port >= 1 && port <= 65535 && floor(port) == port && !contains([22, 2379, 2380, 6443, 10250], port)])
    error_message = "gateway_ports is ${jsonencode(var.gateway_ports)}; it needs ports from 1 to 65535, and none of 22, 2379, 2380, 6443 and 10250, which belong to SSH and to Kubernetes itself."
  }
}

variable "egress_cidrs" {
  description = "Networks outside that nodes and pods may reach; empty for a cluster that is installed from an air-gap bundle."
  type        = set(string)
  default     = ["0.0.0.0/0"]
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.egress_cidrs : can(cidrnetmask(cidr)) && try(cidrhost(cidr, 0) == split("/", cidr)[0], false)])
    error_message = "egress_cidrs is ${jsonencode(var.egress_cidrs)}; every entry needs to be an IPv4 network, written by its first address, such as 0.0.0.0/0 for everywhere."
  }
}
