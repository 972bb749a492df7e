//! Messages from and to the types of the contract.

use crate::v1::{GetItemResponse, TransferRequest, TransferResponse, TransferStatus};
use contract::Failure;
use contract::item::Item;
use contract::transfer::{self, NewTransfer, Transfer};

impl TryFrom<TransferRequest> for NewTransfer {
    type Error = Failure;

    fn try_from(order: TransferRequest) -> Result<Self, Failure> {
        Self::new(order.from, order.to, order.amount_minor, order.currency)
            .map_err(Failure::InvalidBody)
    }
}

impl From<Transfer> for TransferResponse {
    fn from(transfer: Transfer) -> Self {
        let status = match transfer.status {
            transfer::TransferStatus::Booked => TransferStatus::Booked,
        };
        Self {
            id: transfer.id,
            from: transfer.from,
            to: transfer.to,
            amount_minor: transfer.amount_minor,
            currency: transfer.currency,
            status: status.into(),
        }
    }
}

impl From<Item> for GetItemResponse {
    fn from(item: Item) -> Self {
        Self {
            id: item.id,
            name: item.name,
            category: item.category,
            price_minor: item.price_minor,
            version: item.version,
        }
    }
}
