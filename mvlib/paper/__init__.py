"""The paper, one object a module, in its order, and nothing but the paper.

Data (`data_parameters`, `multi_view_data`) and networks (`activation`, `network`,
`gradient_descent`, `objectives`) do not know each other.  Imports `core` alone.
"""
