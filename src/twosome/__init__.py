"""What does a language model learn about a world by acting in it?"""
