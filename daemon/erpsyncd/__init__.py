"""erpsyncd keeps the ERP connections of SuperOffice CRM as a local store describes them."""

__version__ = "0.1.0"
