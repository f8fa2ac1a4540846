"""Merchants and the factories that ship for them (代发): bindings and orders."""

from labelsvc.dropship.bindings import Bindings
from labelsvc.dropship.model import Binding, BindingState, NewOrder, Order, OrderLine, OrderState
from labelsvc.dropship.orders import Orders

__all__ = ["Binding", "BindingState", "Bindings", "NewOrder", "Order", "OrderLine", "OrderState", "Orders"]
