from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from scipy.stats import binom

from mmdisco.utils import unwrapped
from ..online import OnlineLoop


@HOOKS.register_module()
class TeacherKNNHook(Hook):
    """Tells at the start whether the teacher is worth distilling.

    The teacher's backbone, BN with its running statistics, classifies the
    samples of :class:`OnlineKNNHook`, once. The score stays in the log beside
    the student's, as ``val/teacher_knn_top1``. A teacher that is not above
    chance, the share of the largest class, is a warning. Without a teacher
    or :class:`OnlineKNNHook` nothing is done, nor in a resumed run.

    Args:
        level (float): Warn if chance alone scores as high with a larger
            probability, by the binomial distribution. Defaults to 0.001.
    """

    def __init__(self, level: float = 1e-3) -> None:
        self.level = level

    def before_train(self, runner) -> None:
        """Score it."""
        teacher = getattr(unwrapped(runner.model), 'teacher', None)
        loop = runner.val_loop
        if teacher is None or runner._resume or not isinstance(loop, OnlineLoop):
            return
        features = loop.features(
            teacher, lambda x: teacher.backbone(teacher.renormalize(x))
        )
        score = loop.knn_top1(features)
        runner.message_hub.update_scalar('val/teacher_knn_top1', score)
        num = len(features.test_labels)
        chance = int(features.test_labels.bincount().max()) / num
        told = f'teacher {loop}: {score:.2f} %, chance is {100 * chance:.2f} %'
        luck = binom.sf(round(score * num / 100) - 1, num, chance)
        if luck > self.level > chance**num:  # else too few images to tell
            runner.logger.warning(
                f'{told}. THE TEACHER IS NO BETTER THAN CHANCE, and nothing '
                'can be learned from it: check model.teacher.checkpoint, its '
                'mean, std and to_rgb, and the size of the images'
            )
        else:
            runner.logger.info(told)
        loop.restart_clock()
