variable "cluster_name" {
  description = "Name of the cluster; every machine, network and rule begins with it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$", var.cluster_name))
    error_message = "cluster_name is \"${var.cluster_name}\"; it becomes part of host names, so it needs 1 to 32 lower-case letters, digits and hyphens, a letter first and no hyphen last."
  }
}

variable "control_plane_count" {
  description = "Machines that run etcd and the Kubernetes API."
  type        = number
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7], var.control_plane_count)
    error_message = "control_plane_count is ${var.control_plane_count}; etcd needs a majority, so take 1, 3, 5 or 7: an even number adds a machine that can fail and no failure that is survived."
  }
}

variable "worker_count" {
  description = "Machines that run everything else; with 0 the control plane does."
  type        = number
  nullable    = false

  validation {
    condition     = var.worker_count >= 0 && var.worker_count <= 150 && floor(var.worker_count) == var.worker_count
    error_message = "worker_count is ${var.worker_count}; it needs a whole number from 0 (the control plane also works) to 150 (that is how many addresses the network keeps for workers)."
  }
}

variable "ssh_user" {
  description = "User that cloud-init makes and that Ansible logs in as."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z_][a-z0-9_-]{0,31}$", var.ssh_user)) && var.ssh_user != "root"
    error_message = "ssh_user is \"${var.ssh_user}\"; it needs a Linux user name other than root, whose login stays closed."
  }
}

variable "ssh_public_keys" {
  description = "Public keys that may log in; they are the only way in."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.ssh_public_keys) > 0
    error_message = "ssh_public_keys is empty; without a key nobody, Ansible included, can log in. Give at least one, such as the content of ~/.ssh/id_ed25519.pub."
  }

  # The message does not repeat the value: what was pasted here by mistake may be a private key.
  validation {
    condition = alltrue([for key in var.ssh_public_keys : can(regex(
      "^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh\\.com|sk-ecdsa-sha2-nistp256@openssh\\.com) [A-Za-z0-9+/]+=*( [^\n]*)?\n?$", key
    ))])
    error_message = "ssh_public_keys has an entry that is not one line of an OpenSSH public key (type, base64, comment); take the file that ends in .pub, never the private key."
  }
}

variable "network_cidr" {
  description = "IPv4 network of the nodes."
  type        = string
  nullable    = false

  validation {
    condition = (
      can(cidrnetmask(var.network_cidr)) &&
      try(cidrhost(var.network_cidr, 0) == split("/", var.network_cidr)[0], false) &&
      try(tonumber(split("/", var.network_cidr)[1]) <= 24, false)
    )
    error_message = "network_cidr is \"${var.network_cidr}\"; it needs an IPv4 network of at least 256 addresses, written by its first address, such as 10.20.0.0/24."
  }
}

variable "pod_cidr" {
  description = "IPv4 network of the pods; nodes route it between each other as it is."
  type        = string
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.pod_cidr)) && try(cidrhost(var.pod_cidr, 0) == split("/", var.pod_cidr)[0], false)
    error_message = "pod_cidr is \"${var.pod_cidr}\"; it needs an IPv4 network, written by its first address, such as 10.244.0.0/16."
  }

  # Two networks overlap exactly when they begin alike over the shorter of their prefixes.
  validation {
    condition = try(length(distinct([for network in [var.network_cidr, var.pod_cidr] :
      cidrhost("${split("/", network)[0]}/${min([for each in [var.network_cidr, var.pod_cidr] : tonumber(split("/", each)[1])]...)}", 0)
    ])) == 2, true)
    error_message = "pod_cidr ${var.pod_cidr} and network_cidr ${var.network_cidr} overlap; a node could not tell its neighbours from its pods. Take networks that share no address."
  }
}
