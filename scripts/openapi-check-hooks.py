"""What scripts/openapi-check tells Schemathesis that no schema can say."""

import schemathesis


def as_whole_numbers(value):
    """JSON Schema takes 7.0 for an integer; the contract wants whole numbers without a fraction."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [as_whole_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: as_whole_numbers(item) for key, item in value.items()}
    return value


@schemathesis.hook
def map_body(context, body):
    return as_whole_numbers(body)
