from .disco_loss import DisCoLoss

__all__ = ['DisCoLoss']
