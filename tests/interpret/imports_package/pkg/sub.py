from pkg import layers


def submodule_function(x):
    return layers.Net()(x)
