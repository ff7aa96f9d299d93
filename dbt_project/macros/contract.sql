{# Written by `make contract`: fields that the contract named when RAW had rows already; those carry them in `extra`. #}
{% macro later_fields() %} {{ return([]) }} {% endmacro %}
