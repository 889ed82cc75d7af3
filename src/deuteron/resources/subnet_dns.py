"""Whether addresses of a subnet are to be published in a DNS outside: data, and no more."""

from deuteron.resources.attribute import Attr
from deuteron.resources.resource import Alias, Extension
from deuteron.resources.types import BOOLEAN

DECLARES = (
    Extension(
        resource="subnet",
        name="dns",
        attributes={
            "dns_publish_fixed_ip": Attr(type=BOOLEAN, default=False, post=True, put=True),
        },
    ),
    Alias(
        alias="subnet-dns-publish-fixed-ip",
        name="Subnet DNS publish fixed IP",
        description="Whether addresses of a subnet are to be published",
    ),
)
