"""The remote side: one tenant's NetServer, spoken to over SOAP or REST.

`apis` opens tenants; `api` is the port's five methods; `soap` and `rest` write requests and read replies;
`authentication`, `retries` and `transport` carry them. Nothing in here decides what is to be done.
"""
