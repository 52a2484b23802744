"""What a platform team demands of agents, as policies: judged in reports, by components, and as a policy pack."""
