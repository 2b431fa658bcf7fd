import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from torch import Tensor, nn


class Probe:
    """A linear classifier that learns of features as they come.

    Features are standardised by BN without weights, so that one learning rate
    suits those of any network. The classifier begins with zeros: no random
    number is drawn. All ranks have the same one.

    Args:
        dim (int): Width of the features.
        num_classes (int): Classes.
        lr (float): Learning rate of SGD with momentum 0.9.
        device (torch.device): Where features will be.
    """

    def __init__(
        self, dim: int, num_classes: int, lr: float, device: torch.device
    ) -> None:
        # no default initialisation, which would draw random numbers
        linear = nn.utils.skip_init(nn.Linear, dim, num_classes)
        for parameter in linear.parameters():
            nn.init.zeros_(parameter)
        self.network = nn.Sequential(nn.BatchNorm1d(dim, affine=False), linear).to(
            device
        )
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=lr, momentum=0.9)

    @torch.enable_grad()
    def learn(self, features: Tensor, labels: Tensor) -> Tensor:
        """Take a step.

        Args:
            features (Tensor): Detached, [N, D].
            labels (Tensor): Class indices, [N].

        Returns:
            Tensor: How many were classified rightly before it, [].
        """
        self.network.train()
        logits = self.network(features)  # [N, C]
        self.optimizer.zero_grad()
        F.cross_entropy(logits, labels).backward()
        for parameter in self.network.parameters():
            all_reduce(parameter.grad, 'mean')
        self.optimizer.step()
        return (logits.argmax(1) == labels).sum()

    @torch.no_grad()
    def logits(self, features: Tensor) -> Tensor:
        """Classify features [N, D] by the mean statistics of all ranks."""
        norm = self.network[0]
        for statistic in (norm.running_mean, norm.running_var):
            all_reduce(statistic, 'mean')
        return self.network.eval()(features)  # [N, C]

    def state_dict(self) -> dict:
        """Weights and momentum."""
        return dict(
            network=self.network.state_dict(), optimizer=self.optimizer.state_dict()
        )

    def load_state_dict(self, state: dict) -> None:
        """Go on where another one was."""
        self.network.load_state_dict(state['network'])
        self.optimizer.load_state_dict(state['optimizer'])

    @staticmethod
    def shape_of(state: dict) -> tuple[int, int]:
        """Classes and width of a probe's state."""
        return tuple(state['network']['1.weight'].shape)
