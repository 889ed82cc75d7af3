"""What the reconciler asks of those who build things."""

from typing import Protocol

from deuteron.plan.units import Unit


class Manager(Protocol):
    """Builds the units of some kinds on this host.

    All methods are called from the reconcile thread alone. `apply` is only called when the plan is known in
    full: what is ours in the kernel and is not wanted then can go.
    """

    @property
    def kinds(self) -> tuple[type[Unit], ...]:
        """The units that it wants to be told of; others may want them too."""
        ...

    def put(self, unit: Unit) -> None:
        """Note that a unit is new or changed. No I/O."""
        ...

    def delete(self, key: str) -> None:
        """Note that a unit is gone; unknown keys are fine. No I/O."""
        ...

    def recheck(self) -> None:
        """Note that the kernel may hold something else than believed: compare it all at the next `apply`."""
        ...

    def apply(self) -> dict[str, str]:
        """Make the host so, for what is noted; return what failed: unit key -> problem in words.

        What failed stays noted and is tried again at the next call; it must not hinder the rest. May return
        before all is done when `pending` says so.
        """
        ...

    @property
    def pending(self) -> bool:
        """Whether `apply` left something for its next call, so that others get their turn in between."""
        ...
