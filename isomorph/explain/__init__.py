"""`explain`: everything that becomes of an instruction, from its bits and its line in the spec to host code."""

from isomorph.explain.explanation import Explanation, InstructionReport, Stage, explain
from isomorph.explain.subject import Subject, find_subject

__all__ = ["Explanation", "InstructionReport", "Stage", "Subject", "explain", "find_subject"]
