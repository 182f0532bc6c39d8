"""Functional ANOVA of a log-risk over the modalities of a patient.

What a model reads of each modality is kept apart (:class:`Readings`); the log-risk is a sum of
parts (:class:`Product`, :class:`RectifiedSum`, :class:`Sampled`); each part splits into a constant,
a main effect per modality and interactions, under the product over modalities of the training
patients' distributions (:class:`Reference`). Arrays in, arrays out: no model is known here.
"""

from survfuse.decomposition.decompose import Decomposition, decompose, shapley_values
from survfuse.decomposition.measured_agreement import Agreement, AgreementRow
from survfuse.decomposition.parts import Part, Product
from survfuse.decomposition.readings import Readings, Term
from survfuse.decomposition.rectified import RectifiedSum
from survfuse.decomposition.sampled import Sampled
from survfuse.decomposition.training_reference import Reference

__all__ = [
    "Agreement",
    "AgreementRow",
    "Decomposition",
    "Part",
    "Product",
    "Readings",
    "RectifiedSum",
    "Reference",
    "Sampled",
    "Term",
    "decompose",
    "shapley_values",
]
