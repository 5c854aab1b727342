"""Tariffs of other systems (CGRateS, BillRun, PortSIP), translated to price lists of ours."""
