from . import layers
from .layers import Net
from .losses import helper, helper as renamed
from .sub import submodule_function

VALUE = 1 + 2
