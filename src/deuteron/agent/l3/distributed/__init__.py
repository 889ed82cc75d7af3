"""The distributed parts of routers: routing on the host of the instances, and floating IPs there."""
