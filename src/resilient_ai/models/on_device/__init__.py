"""A model that runs on this device: a GGUF file, answered by llama.cpp in a child process.

    worker   the child: the only code that loads native code or the model
    process  the parent's hold on one child: start, ready, kill, restart budget, fork, exit
    slots    the bounded queue in front of it, for both colours
    gguf     what a file says of itself, read and checked before native code sees it
    control  user text that cannot pose as the model's control tokens
    model    `OnDeviceModel`

Nothing is imported here: the child must stay small, and the parent must not pay for what it does not use.
"""
