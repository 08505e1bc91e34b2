"""Write: how do rows become durable, and then segments?"""
