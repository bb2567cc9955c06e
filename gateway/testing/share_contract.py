"""The contract of ledgers for dividing the quota: see gateway.ledger.ledger.Shares."""

from gateway.stake import Stake
from gateway.testing.ledger_contract import Ledgers


def stake(holds: int = 0, wants: int = 0, window: str = "writes") -> Stake:
    """Of a window of 100 turns."""
    return Stake("contoso", window, min(holds, wants), holds, 100.0, 0.0, {"ops": (1.0, 0, wants)})


class ShareContract(Ledgers):
    """See Ledgers for what a subclass has to have."""

    async def test_gateways_hold_no_more_than_the_window_and_get_what_others_let_go_of(self) -> None:
        async with self.several(2) as gateways:
            for first, second in [gateways] if gateways else ():
                [alone] = await first.share([stake(0, 500)])
                assert alone.share == 100
                [none] = await second.share([stake(0, 500)])
                assert (none.share, none.replicas) == (0, 2)
                [less] = await first.share([stake(100, 500)])
                assert less.share < 100
                [still_none] = await second.share([stake(0, 500)])
                assert still_none.share == 0, "the first has not said yet that it takes less"
                await first.share([stake(less.share, 500)])
                [half] = await second.share([stake(0, 500)])
                assert half.share + less.share <= 100
                assert half.share >= 40

    async def test_windows_are_divided_each_for_itself(self) -> None:
        async with self.several(2) as gateways:
            for first, second in [gateways] if gateways else ():
                await first.share([stake(0, 500)])
                writes, requests = await second.share([stake(0, 500), stake(0, 500, "requests")])
                assert (writes.share, requests.share) == (0, 100)

    async def test_what_graph_told_one_is_told_to_the_others(self) -> None:
        async with self.several(2) as gateways:
            for first, second in [gateways] if gateways else ():
                await first.share([stake()._replace(closed_s=7.5, limit=75.0)])
                [told] = await second.share([stake(0, 500)])
                assert told.closed_s == 7.5
                assert told.share <= 75

    async def test_whom_one_told_to_come_is_told_to_the_others(self) -> None:
        async with self.several(2) as gateways:
            for first, second in [gateways] if gateways else ():
                await first.share([stake()._replace(told=[("ops", "r1", 1.5)])])
                [heard] = await second.share([stake()])
                assert [tuple(one) for one in heard.told] == [("ops", "r1", 1.5)]
