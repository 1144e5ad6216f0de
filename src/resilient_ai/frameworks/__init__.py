"""A chain as the model of an agent framework: one package a framework, each of them behind an extra of its own.

    from resilient_ai.frameworks.langchain import ResilientChatModel   # pip install 'resilient_ai[langchain]'
    from resilient_ai.frameworks.pydantic_ai import ResilientAgentModel   # pip install 'resilient_ai[pydantic-ai]'
    from resilient_ai.frameworks.llama_index import ResilientLLM       # pip install 'resilient_ai[llama-index]'

Each translates the framework's messages and calls a `ResilientModel`; nothing is decided here. Frameworks that take an SDK's client
(instructor, openai-agents) need no module: give them a client that went through `resilient_ai.wrap`.
"""
